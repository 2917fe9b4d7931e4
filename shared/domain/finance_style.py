"""The stylesheet of the finance report; the page's security policy names its checksum."""

import hashlib
from base64 import b64encode
from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--paper:#fff;--ground:#f5f6f8;--ink:#1b2330;--soft:#5b6675;
--line:#dfe3e8;--accent:#1f5fa8;--good:#1b7f4b;--warn:#b25e00;--bad:#b3261e;--track:#e8ebef;
--c0:#1f5fa8;--c1:#e08a1e;--c2:#2a9d78;--c3:#8e5bb5;--c4:#c2476b;--c5:#7c8794;--band:#1f5fa8}
@media (prefers-color-scheme:dark){:root{--paper:#171c24;--ground:#10141a;--ink:#e7ebf0;
--soft:#9aa6b4;--line:#2c3440;--accent:#6aa9ee;--good:#5cc98f;--warn:#f0a750;--bad:#f0827a;
--track:#2a313c;--c0:#6aa9ee;--c1:#f0ad55;--c2:#58c9a4;--c3:#bb8fe0;--c4:#ea7f9d;--c5:#94a0ae;
--band:#6aa9ee}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1000px;margin:0 auto;padding:32px 24px 64px}
header{border-bottom:3px solid var(--accent);padding-bottom:14px;margin-bottom:20px}
h1{font-size:28px;line-height:1.2;margin:2px 0 6px}
h2{font-size:18px;margin:0 0 4px}
h3{font-size:14px;margin:0 0 6px;color:var(--soft);font-weight:600}
p{margin:0 0 12px;max-width:76ch}
.kicker{margin:0;color:var(--soft);font-weight:600;font-size:14px}
.meta{display:flex;flex-wrap:wrap;gap:2px 22px;color:var(--soft);margin:0}
.meta b{color:var(--ink);font-weight:600}
.lead{font-size:17px;margin:0 0 18px}
section{background:var(--paper);border:1px solid var(--line);border-radius:10px;
padding:18px 20px 16px;margin:0 0 16px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(148px,1fr));gap:12px;
margin:0 0 16px;padding:0;list-style:none}
.cards li{background:var(--paper);border:1px solid var(--line);border-radius:10px;
padding:12px 14px}
.cards span{display:block;color:var(--soft);font-size:13px}
.cards strong{display:block;font-size:22px;line-height:1.3;font-variant-numeric:tabular-nums}
.note{color:var(--soft);font-size:13px}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
caption{text-align:left;color:var(--soft);font-size:13px;padding:0 0 4px}
th,td{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid var(--line);
vertical-align:top}
thead th{color:var(--soft);font-weight:600;font-size:13px;white-space:nowrap}
th[scope=row]{font-weight:500;overflow-wrap:anywhere}
tfoot td,tfoot th[scope=row]{font-weight:600;border-bottom:0;border-top:2px solid var(--line)}
.n{text-align:right;white-space:nowrap}
td:last-child,th:last-child{padding-right:0}
.wide{overflow-x:auto;margin:0 0 10px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:8px 32px}
.two>div{min-width:0}
.barcell{width:30%;min-width:120px}
svg.bar{display:block;width:100%;height:12px;margin-top:5px;border-radius:3px;overflow:hidden}
.track{fill:var(--track)}.spent{fill:var(--c0)}.held{fill:var(--c1)}.over{fill:var(--bad)}
.swatch{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:7px;
background:var(--c5)}
.s0{background:var(--c0)}.s1{background:var(--c1)}.s2{background:var(--c2)}
.s3{background:var(--c3)}.s4{background:var(--c4)}.s5{background:var(--c5)}
figure{margin:8px 0 12px}
figcaption{color:var(--soft);font-size:13px}
.plot-daily,.plot-forecast{display:block;width:100%;height:auto}
.plot-daily .background,.plot-forecast .background{fill:none}
.plot-daily text,.plot-forecast text{fill:var(--soft);font-size:12px;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
.axis .line{stroke:none;fill:none}
.axis.x .guide,.axis.x .line{stroke:none}
.axis.y .guide{stroke:var(--line);stroke-width:1}
.axis.y .axis.major.line{stroke:var(--soft);stroke-width:1}
.axis.y text{text-anchor:end}.axis.x text{text-anchor:middle}
.plot-daily .color-0{fill:var(--c0)}.plot-daily .color-1{fill:var(--c1)}
.plot-daily .color-2{fill:var(--c2)}.plot-daily .color-3{fill:var(--c3)}
.plot-daily .color-4{fill:var(--c4)}.plot-daily .color-5{fill:var(--c5)}
.plot-forecast .axis.y .guide.major{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:6 4}
.plot-forecast .axis.y text.major{fill:var(--bad);font-weight:600}
.plot-forecast .line{stroke:none;fill:none}
.plot-forecast .series.color-1 .line,.plot-forecast .series.color-2 .line{fill:var(--band);
fill-opacity:.22}
.so-far,.expected{fill:none;stroke:var(--band);stroke-width:2.5;stroke-linejoin:round}
.expected{stroke-dasharray:5 4;stroke-width:2}
details{margin-top:10px}
summary{cursor:pointer;color:var(--accent);font-size:13px}
summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
ul.days{padding:0;margin:8px 0 0;list-style:none}
ul.days li{border-left:3px solid var(--warn);padding:2px 0 2px 12px;margin:0 0 10px}
footer{color:var(--soft);font-size:13px;margin-top:20px}
footer code{overflow-wrap:anywhere}
@media print{:root{color-scheme:light;--paper:#fff;--ground:#fff;--ink:#000;--soft:#444;
--line:#ccc;--accent:#1f5fa8;--track:#e8ebef;--c0:#1f5fa8;--c1:#e08a1e;--c2:#2a9d78;
--c3:#8e5bb5;--c4:#c2476b;--c5:#7c8794;--band:#1f5fa8;--good:#1b7f4b;--warn:#b25e00;
--bad:#b3261e}
body{font-size:11pt}main{max-width:none;padding:0}
section,.cards li{break-inside:avoid;border-color:#ccc}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}details:not([open]){display:none}}
"""


def style_source() -> str:
    """How a Content-Security-Policy allows exactly this stylesheet."""
    return f"'sha256-{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"


def page_policy() -> str:
    """The policy of the report: this stylesheet, and nothing else from anywhere."""
    return (
        f"default-src 'none'; style-src {style_source()}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
