// Tells Tocsin what a person did to an incident that Tocsin opened, and of changes where asked. One signed POST, never repeated: Tocsin also polls.
//
// The signature is sha256= and the hex HMAC-SHA256 of timestamp, dot and body under the hook's secret. The body is pure
// ASCII (see ascii), so that it has the same bytes in every character set.
var TocsinTell = {
    // current: GlideRecord of the incident. action: what was done, one of Tocsin's words. words: the column whose text
    // goes along, or ''.
    tell: function (current, action, words) {
        if (String(current.sys_updated_by) == gs.getProperty('tocsin.user', '')) return; // Tocsin's own writes
        this.post(this.event(current, action, words), action + ' of ' + current.number);
    },

    // current: GlideRecord of a change request: what is planned, and what was done. Only where tocsin.changes is true.
    tellChange: function (current) {
        if (gs.getProperty('tocsin.changes', 'false') != 'true') return;
        this.post(this.change(current), 'change ' + current.number);
    },

    // what: how the system log names it.
    post: function (event, what) {
        var url = gs.getProperty('tocsin.url', '');
        var secret = gs.getProperty('tocsin.secret', '');
        if (!url || !secret || gs.getProperty('tocsin.active', 'true') != 'true') return;

        var body = this.body(event);
        var at = Math.floor(new GlideDateTime().getNumericValue() / 1000);
        var mac = function (key, text) {
            return new GlideCertificateEncryption().generateMac(GlideStringUtil.base64Encode(key), 'HmacSHA256', text);
        };
        var headers = this.headers(body, secret, at, mac);
        var request = new sn_ws.RESTMessageV2();
        request.setHttpMethod('POST');
        request.setEndpoint(url);
        request.setHttpTimeout(10000);
        for (var name in headers) request.setRequestHeader(name, headers[name]);
        if (gs.getProperty('tocsin.mid_server', '')) request.setMIDServer(gs.getProperty('tocsin.mid_server'));
        request.setRequestBody(body);
        try {
            var status = request.execute().getStatusCode();
            if (status != 202) gs.warn('Tocsin answered ' + status + ' to ' + what);
        } catch (refused) {
            gs.error('Tocsin was not told of ' + what + ': ' + refused);
        }
    },

    // The facts as Tocsin's ServiceNow source reads them: display values, moments in UTC.
    event: function (current, action, words) {
        var journal = words == 'work_notes' || words == 'comments';
        var said = !words ? '' : journal ? current[words].getJournalEntry(1) : current.getValue(words);
        return {
            event_id: current.getUniqueValue() + ':' + current.sys_mod_count,
            table: String(current.getTableName()),
            sys_id: String(current.getUniqueValue()),
            number: String(current.number),
            correlation_id: String(current.correlation_id),
            action: action,
            state: String(current.getDisplayValue('state')),
            assigned_to: String(current.getDisplayValue('assigned_to') || ''),
            assignment_group: String(current.getDisplayValue('assignment_group') || ''),
            priority: String(current.getDisplayValue('priority')),
            work_notes: String(said || ''),
            close_code: String(current.close_code),
            caused_by: String(current.getDisplayValue('caused_by') || ''),
            sys_updated_by: String(current.sys_updated_by),
            sys_updated_on: String(current.getValue('sys_updated_on')),
            sys_mod_count: String(current.sys_mod_count)
        };
    },

    // A change request, moments in UTC, its windows planned and real.
    change: function (current) {
        var shown = function (name) { return String(current.getDisplayValue(name) || ''); };
        var kept = function (name) { return String(current.getValue(name) || ''); };
        return {
            table: 'change_request',
            sys_id: String(current.getUniqueValue()),
            number: kept('number'),
            state: kept('state'),
            approval: kept('approval'),
            type: kept('type'),
            risk: shown('risk'),
            short_description: kept('short_description'),
            cmdb_ci: shown('cmdb_ci'),
            business_service: shown('business_service'),
            start_date: kept('start_date'),
            end_date: kept('end_date'),
            work_start: kept('work_start'),
            work_end: kept('work_end'),
            close_code: kept('close_code'),
            assigned_to: shown('assigned_to'),
            sys_updated_on: kept('sys_updated_on')
        };
    },

    body: function (event) {
        return this.ascii(JSON.stringify(event));
    },

    // mac(key, text) answers the HMAC-SHA256 in base64, as GlideCertificateEncryption does.
    headers: function (body, secret, at, mac) {
        return {
            'Content-Type': 'application/json',
            'X-Tocsin-Timestamp': String(at),
            'X-Tocsin-Signature': 'sha256=' + this.hex(mac(secret, at + '.' + body))
        };
    },

    // JSON in which every character beyond ASCII is written as \uXXXX.
    ascii: function (json) {
        var out = '';
        for (var i = 0; i < json.length; i++) {
            var code = json.charCodeAt(i);
            out += code < 127 ? json.charAt(i) : '\\u' + ('0000' + code.toString(16)).slice(-4);
        }
        return out;
    },

    // base64 as lower-case hex.
    hex: function (base64) {
        var digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
        var text = String(base64).replace(/[^A-Za-z0-9+\/]/g, '');
        var out = '';
        var bits = 0;
        var held = 0;
        for (var i = 0; i < text.length; i++) {
            held = (held << 6) | digits.indexOf(text.charAt(i));
            bits += 6;
            if (bits >= 8) {
                bits -= 8;
                out += ('0' + ((held >> bits) & 255).toString(16)).slice(-2);
                held = held & ((1 << bits) - 1);
            }
        }
        return out;
    },

    // The number of the change that Tocsin names as the likely cause in an incident's description; empty without one.
    likelyChange: function (description) {
        var found = /\bCHG\d{7,}\b/.exec(String(description || ''));
        return found ? found[0] : '';
    },

    type: 'TocsinTell'
};
