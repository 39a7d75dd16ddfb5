"""Bundles to install: made up in a moment, for whatever needs no real graph; and hostile graphs."""

import base64
import hashlib
import io
import json
import random
import tarfile
import zlib
from pathlib import Path

import pytest
from conftest import snapshot

from edge.calibration import calibrate
from edge.errors import BundleError, UserError
from edge.install.install import install, status
from edge.manifest import FileEntry, GraphEntry, Manifest, manifest_bytes
from edge.preprocess import InputSpec
from edge.score import ScoreSpec

ROLES = ("detector", "encoder", "decoder")
PRECISIONS = ("float32", "int8")


def fake_bundle(folder, name="bolts", size=3000) -> Path:
    """A whole bundle whose graphs are noise: right in every hash, and no interpreter takes it."""
    noise = random.Random(name)
    files = {f"{r}.{p}.tflite": noise.randbytes(size) for r in ROLES for p in PRECISIONS}
    files["golden.npz"] = noise.randbytes(size)
    files["card.md"] = f"# {name}\n".encode()
    entries = {n: FileEntry.of(n, content) for n, content in files.items()}
    manifest = Manifest(
        name=name,
        created="2026-01-01T00:00:00Z",
        input=InputSpec(32, 32, 1),
        graphs={
            r: {p: GraphEntry(entries[f"{r}.{p}.tflite"], {}, {}) for p in PRECISIONS}
            for r in ROLES
        },
        score=ScoreSpec(1, 0.01),
        calibrations={p: calibrate([noise.random() for _ in range(20)]) for p in PRECISIONS},
        files={n: entries[n] for n in ("golden.npz", "card.md")},
        made_from={"data": "noise"},
        made_with={},
        quality={},
    )
    folder = Path(folder)
    folder.mkdir(parents=True)
    for n, content in {**files, "manifest.json": manifest_bytes(manifest)}.items():
        (folder / n).write_bytes(content)
    return folder


def passes(bundle) -> None:
    """A trial that every bundle passes."""


def fails(bundle) -> None:
    """A trial that none passes."""
    raise BundleError("the bundle failed its trial: as it was told to")


def reseal(bundle, change=lambda record: None) -> None:
    """Changes the manifest's record, corrects the files' hashes, and gives it a valid digest."""
    path = Path(bundle) / "manifest.json"
    record = json.loads(path.read_text())
    graphs = [g for by_precision in record["graphs"].values() for g in by_precision.values()]
    for name, entry in [*((g["file"], g) for g in graphs), *record["files"].items()]:
        content = (path.parent / name).read_bytes()
        entry.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    change(record)
    record["digest"] = "0" * 64
    content = json.dumps(record).encode()
    digest = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(content.replace(b"0" * 64, digest, 1))


def tar_bytes(members, end=True) -> bytes:
    """A tar of (TarInfo or name, content) pairs, however wrong they are."""
    out = io.BytesIO()
    for what, content in members:
        info = what
        if isinstance(what, str):
            info = tarfile.TarInfo(what)
            info.size = len(content)
        out.write(info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512))
    return out.getvalue() + (bytes(1024) if end else b"")


def members(bundle) -> list:
    """(name, content) of the files of a bundle's folder."""
    return [(path.name, path.read_bytes()) for path in sorted(Path(bundle).iterdir())]


def versions(store) -> set:
    """Names of the versions that lie in a store."""
    return {path.name for path in (Path(store) / "versions").iterdir()}


def leftovers(store) -> list:
    """What an interrupted change left in a store."""
    return [path.name for path in Path(store).iterdir() if "part" in path.name]


def put(source, store, **options) -> dict:
    """Installs without a graph being run."""
    return install(source, store, **{"trial": passes, **options})


def name_of(store) -> str:
    """The name of the active bundle."""
    return status(store)["name"]


def refusal(source, store, **options) -> str:
    """The one line with which an installation is refused. The store is as it was."""

    def content():
        files = snapshot(store) if store.exists() else {}
        return {name: of for name, of in files.items() if name != ".lock"}

    before = content()
    with pytest.raises(UserError) as caught:
        put(source, store, **options)
    assert content() == before
    assert not store.exists() or leftovers(store) == []
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert len(line) < 700
    return line


def sign(bundle, key) -> None:
    """Signs a bundle's folder with a private key's file."""
    from export.sign import load_key

    content = (bundle / "manifest.json").read_bytes()
    (bundle / "manifest.sig").write_bytes(load_key(key).sign(content))


def trust(store, name, content) -> None:
    """Puts a file among the trusted keys of a store."""
    (store / "trusted_keys").mkdir(parents=True, exist_ok=True)
    (store / "trusted_keys" / name).write_bytes(content)


def hanging_graph() -> bytes:
    """A .tflite file that takes the tests' pictures and loops for ever once it runs."""
    return zlib.decompress(base64.b85decode(_HANGING))


def crashing_graph() -> bytes:
    """A .tflite file with a loop whose body is itself: the interpreter dies of it on loading."""
    return zlib.decompress(base64.b85decode(_CRASHING))


_HANGING = (
    "c-nPVy=zlZ6hALb(=>@OVyQ(lWN;9%ZBi{rv0xiNOVyx79Mt%19{M03<>l2{5bPvH96EFmDNY?6Iyi`vAc%@M`3H!IgL"
    "H5Z>CkH0>pAzH_i_`Gz>l2Vd%o`ZopW!J05ElC@@NmFAPIfY0||)XS{Q;T1FiwAA~p~+0e}U>N*JI6e;bG(;$}?<vgt!"
    "ym$m=}%eAK6ii0Ac2^?bG<X<5=S&kzdYr0ady3XvhYgftuCvZQ+`%#2hu9VE;e7<DP`0>VfgrINoW0%Z37RNZk`wQqJ!"
    "SY^2_R__xr!QYQf9YcW!s)58Q)5$Ou!=gnHJy@O&O5VZ*DhK4dzMqBWcJ|teGEE-$RQ3P!iGBdCVu@!tRp@lULn@FRx5"
    "~Qgv<W_aK5(?lo!Yv#bu4dymnBohUA)ee)`0GPJ)t`#~+@ZdpH;^8hqxUv;r6!7|IN!kqe<>k<ZLPW|-EzPi{+yDa19z"
    "b;M)VRk0S{KGST0`K1`d^%K-zLM$VmB0e_h>YpEN_KX&1Oz^snP4r*eQv6()JbyWrt(1`y*D4IiT)qcX{mFi0TL|jY6y"
    "g-(9AXj?LCoE?i&p-2r7&Ob)re5Nn&AG?<3fwy0rp9@pZ^I#TM4$0bI-rPUh4MZ4UXNevcAE2rC5&C8tr%Se64dY*7MD"
    "q&Yg5iABT79=UpUT5K9f`#d#{IypQ`FL}Uk1-6OK6)Ot{xVUK6}{>e4P&jHfw;k_k1zoF^r^$Kb=>*Tpu;~6;V#o+Vzu"
    "+NxM4^a(%q3>OO4bM83=~@o^8{clMTa@dbs_AvVGFxJOr%6A;b<WkaI(sn&=cUc_rrf%jeu}e*dr{vmOZSz3=5I~0!W`"
    "?39!ql4o>S^1Z_0_IIOmY$0@IxnGgQ2iX_tXHpnK;5>ynTC>?6uP)SUt;x);+vXK{`L@&s|txr<@&ed67(9@ouzdNGnJ"
    "#*GxmGo-(mf42p+9_iG2g;??4nF!|)Ytc&qwhL)%l;<bDm(zy2hhOsCldU5fIqBkB=WurDPS2T+YtwUM6|!crIFg3?d*"
    "<=-y2(d~*O%M)$h4VxfL>WM(5g-u_44>6w7ZD3Hu$Z`npGFt_?!@py~=MzfVen@d&CPqsdm9C<f}z{+8V0Y^-+^;hh{s"
    "|$~IHCeb;0g&}`R)n%@T72EKdc|BHQX>d?nC%^Y_ely*V?jqv_Y<mH1eDQj7q5WlnZ798WA^lJ1TbF`Fy>kG=GN*?`+@"
    "`REn)=}<Pa{mU(b4s3z$(~nHsZWR1`tX0L&~oA"
)
_CRASHING = (
    "c-nPV&1(};5T8xc7?T()mKrpN97IHHnp6uS7MiANEmccf#Df~wW~mGLD4VUdP_PG)QatqFNklw&@KD5qcoGCr5l{XB;z"
    "2}u@F0?d)wJu(d$XIDkSzSz*?IHz=HtDM1Hkl|@nhYPfH=gU8@eEZyde0I2IK)eMN|=UK7eJ!iy%M;erpInVyxykq!UA"
    "25xM|*!!~B@vV|m|3LIwH;9tk-WIBqljG1z&Vq5bwwplKr9Igj=J&e#x<)U6#%oX)H&)@L2<ItPzm_>coU>`?$y?{2ln"
    "BI%XUc7MW^yJjJix+a|Pfuq?GSeAYLz&%*Owlamtof2{7LD93!>Uj)dysz{oz5X95Qh;#O>X=TzJ4J#5FZgQ5$l|*M~D"
    "Xqo9+MRc&{TUE)Y42iW~=-cTjKxg6Hm^o`_cyzo^UV`-h`<`oaZ`_v{y10R74SbTS2S&5^#yW;&T3AfEf2+H{;D#0X*("
    "vC6X2*YcZ(iY{<{$p_W?Hp(v{mJxRmADU#<=UbaKt;HU@n6KhH+TYle^*KL&ZZeTAm#`+bkxz<Psu)y6llq6Y9EbWefw"
    ";{5M|ln*7H*maBX^^mU#$1)^O}^$=W2}mo7SEn-`64*Xz@*QqipZfKgXe^F5XL&=inLk*G@NvzRZmZ%WE8Kg6UALQGXZ"
    "5w88yZ-$PEfW>YO~9NDhtU<Gj>vDT0SoUy!&`-E4QkmxF^MM(6S<olJmc56@XA6s7D4v<_oudU(!HAPO%mtV<QC(p_{&"
    "&81IgZJOfHX~9zKsoq{ws(0sJZl-cZCGq?c&jmQVa|J^rsjQWzR2=clYEHtJW*5f?E2_i6grQaV%y2(CqFB=7WVYAbcT"
    "6*{@Ua#$i7~yzC=yh*OWTRoqVcMlw*i<g6SM`XP~H?CEyy+S+vBmWMe<u2(t}&&On0B%9K~LDEk4igDA(mgQ4*m<DR*0"
    "t()U?eZ+ab66{YC_9EVSr_NcY(koOI_wEUC43QSS<YT>n!lO7p@>!kI<k|cJG0wV{(^!)ooa+gk9XjVHbjvpB3NrFpy-"
    "+xrg8Cij*5y@`jR5l>w6T$HGxGpFB4?mvog(Vt@p0{UaviIDe`NKF4Q*_WIgP!__lJ*aaU9pEE_ltFc_W{z6wDc;zn<5"
    "7O}ZV5?p!O~bY1stldezEU3cXCHt06gyGQ(U>}!*U7|%4<xZ|ME^LzJ(`;U<mKLMg-Eprp#J7I)!!9D5b=pDvrNc+ZTq"
    "z5HE_yy@PNsnzH-7D$dD$)y*UWkaEmtLt)2PA*sKbO08-T"
)
