"""What says of an image that it was generated: texts inside the PNG, and the field by which the press tells it.

IPTC's `DigitalSourceType` stands in an XMP packet (W3C PNG, chunk `iTXt` with the key `XML:com.adobe.xmp`), which photo
libraries and search engines read; two plain `tEXt` chunks say the same to everything else. A mark is information and
no protection: whoever wants to can remove it, and formats without metadata lose it.
"""

import struct
import zlib

import numpy as np

from lamina import __version__
from lamina.preprocess.image.codec import as_png

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
HEAD = 33  # the signature and IHDR, behind which texts may stand
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="{tool}" Iptc4xmpExt:DigitalSourceType="{source}"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def sentence(bundle: str, seed: int) -> str:
    """What an image or a file of rows says of itself."""
    return f"Lamina: generated, bundle {bundle}, seed {seed}"


def metadata(bundle: str, seed: int) -> dict[str, str]:
    """The same for the schema of a file of rows."""
    return {"lamina": sentence(bundle, seed), "digital_source_type": SOURCE_TYPE}


def png(image: np.ndarray, bundle: str, seed: int) -> bytes:
    """An image (height, width, 1 or 3) uint8, red first, as PNG that says by what and from which seed it was made."""
    body, tool = as_png(image), f"Lamina {__version__}"
    packet = XMP.format(tool=tool, source=SOURCE_TYPE).encode()
    texts = (
        _chunk(b"tEXt", b"Software\0" + tool.encode()),
        _chunk(b"tEXt", b"Source\0" + sentence(bundle, seed).encode()),
        _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet),
    )
    return body[:HEAD] + b"".join(texts) + body[HEAD:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Length, type, data and check sum, as PNG wants them."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
