"""Files of HDF5 2.0 in its own file format: data layout version 5, which HDF5 1.14 refuses."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np

import modelinspect as mi
from modelinspect.core.tensors import Storage

# Written by h5py 3.16 with HDF5 2.0.0, libver="latest": six data sets of 40x6 float32, a third of the rows
# 1.5 and the others 0, one for each chunk index, one without filters, one without chunks.
_FILE = (
    "c-rgqaB<`1lHy|K;9!7(|4?v18NxS!if?<DJHy|@C5VZkf=LKjAq;RaF)%VPun95%DYoLwy!4#Z%}~7p0t^hA?5O6kiGmbzrB;-r<`riq<)nHtLnZh@5-"
    "cS}sj1&tp^70=F{;cb!A@XgU}RKbU|?cmWYmBe2c^;Z%pweof(r5sEMT4jgE$9+cs-EC3Un<qH#ZLhBhU~A5Co~<kOj#wF*9ngu`sGJAOTnawK5D2utjc%Cy"
    "m2G2rR?Q$i>FO%ypUxYRCkJK?mI4-rMBn=;6Y^D8j`86?+bK@8R@ok#3GIP7I7NAE-g2QWVJqYp9qQl2{-Xv2-"
    "kY|4$6NM<^y>d4$ZE5JSWSivkOa09Po?n>~XoCaRy?%DX~hLV-nqg^Q4S7BqS;l<{rej1{hqp1@dx`LqU0$WO!)L(8#<?Zp;rBNY5TR&k5i)CvP6rdDxiY87"
    "E-VFi_&DH_bsvY(-"
    "QP^H#{D|Zh$g#c44H^`a5zyLaxK>(H_VQF%q)?8(OXAf^sCAJ*u5mQ)*34rP<)`FbG%sd7Oh}e^VqTJxph=BuM8kIuzc`BWI4la!tBB3I3oDiB1npgfo>37`"
    "Fl4)a<I>>gYO=+1GsVVyzQL517{JfIP^wRv&Vjf9|L}aGEGBE*A5tp1`k#N32bTZe4ul=){(MV?lhFd#=*P^K6_bX;F$Q6GH5>ybC*>Jqill8@~m&tq#y}^R"
    "-L81p(`EDd1U&2)KmpPk{!TKOX6srL=GnL`^jsqV8nHfA-Mc&{La$sYBBPby*aVv|#=Mz>T28ILn2#gC1Cp9C@zav@ANDh-xFbYNi1A|kDj~fH`C1~?l7>~-"
    "Qc+@~!BMd*Vs9{7?%gu>f4UArMVOP*-+>C-"
    "zFbYP&C>RB_0@NKq1`QaqKnH%9xnKhv3=4)pI9xBJ?!*EYC@h#6fx?hJ3G>hiizl;NY({g&C>RB!U=$2@fIM18$;jELIiu!`nnQ1M03}Mh?*"
)
_CHUNKS = {
    "extensible": [(2172, 21), (2193, 22), (2215, 22), (2237, 21)],
    "fixed": [(2086, 21), (2107, 22), (2129, 22), (2151, 21)],
    "plain": [(2334, 240), (2574, 240), (2814, 240), (3054, 240)],
    "single": [(2048, 38)],
    "tree": [(2258, 19), (2277, 19), (2296, 19), (2315, 19)],
    "contiguous": [(8192, 960)],
}
"""Where HDF5 2.0.0 itself says that the data are: h5py's get_chunk_info and get_offset."""


def test_every_chunk_index_of_layout_version_5_is_read(tmp_path: Path) -> None:
    (tmp_path / "v5.h5").write_bytes(zlib.decompress(base64.b85decode("".join(_FILE))))
    report = mi.inspect(tmp_path / "v5.h5")
    assert report.diagnostics == ()
    assert report.categories.unattributed == 0
    artifact = mi.open(tmp_path / "v5.h5")
    found = {
        tensor.name: [(extent.span.offset, extent.span.size) for extent in tensor.extents]
        for tensor in artifact.tensors
    }
    assert found == _CHUNKS
    zeros = {tensor.name: tensor.zero_count for tensor in report.tensors}
    rows = np.zeros((40, 6))
    rows[::3] = 1.5
    assert zeros == dict.fromkeys(_CHUNKS, int((rows == 0).sum()))
    assert {tensor.name for tensor in artifact.tensors if tensor.storage is Storage.COMPRESSED} == {
        "extensible",
        "fixed",
        "single",
        "tree",
    }
