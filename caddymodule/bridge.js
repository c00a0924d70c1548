// Tells the site's edge what this page's consent manager says, for managers that keep it where only
// scripts can read it. It sends category names, nothing else, and only when they change.
(function () {
	"use strict";
	var me = document.currentScript;
	if (!me) return;
	var to = me.src.replace(/bridge\.js(\?.*)?$/, "bridge");
	var names = ["preferences", "statistics", "marketing"];
	var last = null;

	function send(state) {
		var allow = names.filter(function (n) { return state[n] === true; }).join(".") || "none";
		if (allow === last) return;
		last = allow;
		fetch(to, {
			method: "POST", credentials: "same-origin", keepalive: true, redirect: "error",
			headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: "allow=" + allow
		}).then(function (r) {
			if (r.status === 205) location.reload(); // more is allowed than this page was made for
		}, function () { last = null; });
	}

	// every: a category is allowed if all that is named for it is.
	function every(entries) {
		var on = {}, off = {}, state = {};
		entries.forEach(function (e) { (e[1] ? on : off)[e[0]] = true; });
		names.forEach(function (n) { state[n] = !!on[n] && !off[n]; });
		return state;
	}

	function category(word) {
		word = String(word).toLowerCase();
		if (/necess|essential|strict/.test(word)) return "";
		if (/analytic|statisti|performance|measur/.test(word)) return "statistics";
		if (/market|advert|target|social/.test(word)) return "marketing";
		if (/function|prefer|personali|experience/.test(word)) return "preferences";
		return "";
	}

	// The page's own scripts may say it themselves.
	window.consentBridge = function (state) { send(state || {}); };

	// Usercentrics 2 and 3
	function usercentrics() {
		if (window.__ucCmp && __ucCmp.getConsentDetails) {
			__ucCmp.getConsentDetails().then(function (d) {
				if (!d || !d.consent || d.consent.required) return;
				var list = [];
				Object.keys(d.services || {}).forEach(function (id) {
					var s = d.services[id];
					list.push([category(s.category), !!(s.consent && s.consent.given)]);
				});
				send(every(list));
			});
		} else if (window.UC_UI && UC_UI.getServicesBaseInfo && !(UC_UI.isConsentRequired && UC_UI.isConsentRequired())) {
			send(every(UC_UI.getServicesBaseInfo().map(function (s) { return [category(s.categorySlug), !!(s.consent && s.consent.status)]; })));
		}
	}
	["UC_UI_CMP_EVENT", "UC_UI_INITIALIZED", "UC_CONSENT"].forEach(function (e) { addEventListener(e, usercentrics); });

	// Osano
	function osano() {
		var c = Osano.cm.getConsent(), yes = function (k) { return c[k] === "ACCEPT"; };
		send({ preferences: yes("PERSONALIZATION"), statistics: yes("ANALYTICS"), marketing: yes("MARKETING") && !yes("OPT_OUT") });
	}

	// Termly
	function termly() {
		var c = Termly.getConsentState() || {};
		send({ preferences: c.performance === true, statistics: c.analytics === true, marketing: c.advertising === true && c.social_networking !== false });
	}

	// Sourcepoint and every other manager of the TCF
	function tcf() {
		__tcfapi("addEventListener", 2, function (d, ok) {
			if (!ok || !d || d.gdprApplies === false || d.eventStatus !== "tcloaded" && d.eventStatus !== "useractioncomplete") return;
			var p = (d.purpose && d.purpose.consents) || {};
			var all = function (list) { return list.every(function (n) { return p[n] === true; }); };
			send({ preferences: all([1, 5, 6]), statistics: all([1, 8]), marketing: all([1, 2, 3, 4]) });
		});
	}

	// Managers arrive at any time in the first minute.
	var waiting = [
		[function () { return window.Osano && Osano.cm && Osano.cm.addEventListener; }, function () {
			Osano.cm.addEventListener("osano-cm-consent-saved", osano);
			if (Osano.cm.storageConsentGiven || Osano.cm.getConsent && document.cookie.indexOf("osano_consentmanager=") >= 0) osano();
		}],
		[function () { return window.Termly && Termly.on && Termly.getConsentState; }, function () { Termly.on("consent", termly); }],
		[function () { return window.__ucCmp || window.UC_UI; }, usercentrics],
		[function () { return typeof window.__tcfapi === "function"; }, tcf]
	];
	var tries = 0, timer = setInterval(function () {
		waiting = waiting.filter(function (w) {
			try {
				if (!w[0]()) return true;
				w[1]();
			} catch (e) { /* the manager is not ready, or another of that name */ }
			return false;
		});
		if (!waiting.length || ++tries > 120) clearInterval(timer);
	}, 500);
})();
