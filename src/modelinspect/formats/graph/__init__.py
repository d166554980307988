"""TensorFlow graphs: GraphDef and MetaGraphDef messages, object graphs, nodes."""
