// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The one stylesheet, within each page, so that a saved page stays whole. Text on every ground has a contrast of 4.5 or more.
enum Stylesheet {
    static let text = """

        :root{--ground:#f6f7f9;--panel:#fff;--line:#dfe3e8;--text:#1c2430;--soft:#56606e;--accent:#1f5fbf;--row:#f3f5f8;
        --good:#0b6b3a;--good-ground:#def4e6;--warn:#7a4a00;--warn-ground:#fdf0d2;--bad:#a3161f;--bad-ground:#fde3e4;--idle:#48525f;--idle-ground:#e7eaee}
        @media (prefers-color-scheme:dark){:root{--ground:#12161c;--panel:#1a2028;--line:#2d3642;--text:#e4e9f0;--soft:#a3afbd;--accent:#8ab8ff;--row:#202833;
        --good:#7fe0a7;--good-ground:#12382a;--warn:#f5cd79;--warn-ground:#3f3012;--bad:#ffa3a6;--bad-ground:#4a1d21;--idle:#c1cad5;--idle-ground:#333d49}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--ground);color:var(--text);font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif}
        a{color:var(--accent)}
        :focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:3px}
        main:focus{outline:none}
        .skip{position:absolute;left:-999px}
        .skip:focus{left:12px;top:8px;background:var(--panel);padding:6px 10px;z-index:1}
        header{display:flex;flex-wrap:wrap;gap:6px 22px;align-items:center;padding:12px 24px;background:var(--panel);border-bottom:1px solid var(--line)}
        .brand{font-weight:650}
        nav{display:flex;flex-wrap:wrap;gap:4px}
        nav a{padding:5px 11px;border-radius:6px;text-decoration:none;color:var(--soft)}
        nav a:hover{background:var(--row);color:var(--text)}
        nav a[aria-current]{background:var(--idle-ground);color:var(--text);font-weight:600}
        .note{margin-left:auto;color:var(--soft);font-size:13px}
        main{padding:20px 24px 48px;max-width:1720px;margin:0 auto}
        h1{font-size:22px;margin:4px 0 16px;font-weight:650;letter-spacing:-.01em}
        h2{font-size:17px;margin:28px 0 10px;font-weight:650;display:flex;flex-wrap:wrap;gap:4px 12px;align-items:center}
        h2 small{font-weight:400;font-size:13px;color:var(--soft)}
        .lead{color:var(--soft)}
        .cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0}
        .card{background:var(--panel);border:1px solid var(--line);border-radius:10px;padding:12px 16px}
        .card dt{color:var(--soft);font-size:13px}
        .card dd{margin:2px 0 0;font-size:24px;font-weight:600;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
        .card dd.detail{font-size:13px;font-weight:400;color:var(--soft);letter-spacing:0}
        .scroll{overflow-x:auto;background:var(--panel);border:1px solid var(--line);border-radius:10px}
        table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
        th,td{padding:8px 12px;text-align:right;white-space:nowrap;vertical-align:top}
        thead th{font-size:12.5px;font-weight:600;color:var(--soft);border-bottom:1px solid var(--line);vertical-align:bottom}
        tbody tr+tr>*{border-top:1px solid var(--line)}
        tbody tr:hover>*{background:var(--row)}
        tbody th{font-weight:600}
        th.name,td.name{text-align:left}
        thead th.group{text-align:center;border-bottom:0;padding-bottom:0}
        tfoot>tr>*{border-top:2px solid var(--line);font-weight:600}
        td small,th small{display:block;font-weight:400;font-size:12.5px;color:var(--soft)}
        .name small{white-space:normal;overflow-wrap:anywhere}
        .name small.address{overflow-wrap:normal;word-break:keep-all}
        td.name small{max-width:26em}
        .wide th,.wide td{padding-left:9px;padding-right:9px}
        .wide th:first-child{padding-left:14px}
        .wide td:last-child,.wide th:last-child{padding-right:14px}
        td.state{min-width:13.5em}
        td.check{min-width:9.5em;max-width:15em}
        table.facts{width:auto;min-width:24em}
        .zero{color:var(--soft)}
        .alarm{color:var(--bad);font-weight:600}
        .badge{display:inline-block;padding:1px 9px;border-radius:99px;font-size:12.5px;font-weight:600;white-space:nowrap}
        .badge.good{color:var(--good);background:var(--good-ground)}
        .badge.warn{color:var(--warn);background:var(--warn-ground)}
        .badge.bad{color:var(--bad);background:var(--bad-ground)}
        .badge.idle{color:var(--idle);background:var(--idle-ground)}
        .tag{font-weight:400;font-size:12px;color:var(--soft);border:1px solid var(--line);border-radius:5px;padding:0 5px;margin-left:6px}
        .message{border-radius:8px;padding:10px 14px;margin:0 0 16px}
        .message.good{color:var(--good);background:var(--good-ground)}
        .message.bad{color:var(--bad);background:var(--bad-ground)}
        .controls td{vertical-align:middle}
        .controls td.name,.controls th{vertical-align:middle}
        input{font:inherit;width:6em;padding:5px 8px;border:1px solid var(--soft);border-radius:6px;background:var(--panel);color:var(--text);text-align:right}
        input.text{text-align:left;width:9em}
        button{font:inherit;padding:5px 12px;border:1px solid var(--soft);border-radius:6px;background:var(--panel);color:var(--text);cursor:pointer}
        button:hover{background:var(--row);border-color:var(--accent)}
        .choice{display:inline-flex}
        .choice button{border-radius:0;margin-left:-1px}
        .choice button:first-child{border-radius:6px 0 0 6px;margin-left:0}
        .choice button:last-child{border-radius:0 6px 6px 0}
        .choice button[aria-pressed=true]{background:var(--accent);border-color:var(--accent);color:var(--panel);font-weight:600}
        .hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
        .legend{color:var(--soft);font-size:13px;margin-top:18px;max-width:60em}
        .legend dt{font-weight:600;color:var(--text);float:left;clear:left;margin-right:8px}
        .legend dd{margin:0 0 4px}
        @media (max-width:700px){header,main{padding-left:14px;padding-right:14px}.note{margin-left:0;width:100%}.card dd{font-size:20px}}

        """
}
