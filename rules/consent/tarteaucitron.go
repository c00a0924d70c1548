package consent

import (
	"strings"

	"github.com/caddy-consent/caddy-consent/rules"
)

func tarteaucitron(v string, mp *mapping) answer {
	v = unquote(v)
	if len(v) < 4 || v[0] != '!' || !strings.Contains(v, "=") {
		return answer{}
	}
	var t tally
	waits, answered := false, false
	for item := range strings.SplitSeq(v[1:], "!") {
		if item == "" {
			continue
		}
		k, val, ok := strings.Cut(item, "=")
		if !ok || k == "" {
			return answer{}
		}
		if k == "id" {
			continue
		}
		switch val {
		case "wait":
			waits = true
			if c, ok := mp.category(k, tarteaucitronServices); ok {
				t.add(c, false)
			}
		case "true", "false":
			if k == "tarteaucitron" {
				continue
			}
			answered = true
			if c, ok := mp.category(k, tarteaucitronServices); ok {
				t.add(c, val == "true")
			}
		default:
			return answer{}
		}
	}
	if waits && !answered {
		return answer{verdict: undecided}
	}
	return t.answer()
}

// tarteaucitronServices are the keys that tarteaucitron.js 1.34 (MIT) defines, by what its types
// stand for.
var tarteaucitronServices = func() categories {
	all := make(categories)
	for c, keys := range map[rules.Category]string{
		marketing: `
		acast activecampaign addthis addtoanyfeed addtoanyshare adform adsense adsenseauto adsensesearch adsensesearchform adsensesearchresult aduptech_ads
		aduptech_conversion aduptech_retargeting affilae amazon antvoice archive artetv ausha bandcamp bingads calameo calameolibrary canalu cjcom
		clickdimensions clicmanager criteo criteoonetag dailymotion datingaffiliation datingaffiliationpopup deezer discord doubleclick ekomi equativ eskimi
		facebook facebookcustomerchat facebooklikebox facebookpixel facebookpost fculture gcmadstorage gcmadsuserdata goldenbees googleads
		googleadwordsconversion googleadwordsremarketing googlepartners gplus gplusbadge instagram klaviyo kwanko leadforensics linkedin linkedininsighttag
		madmetrics mixcloud outbrain outbrainamplify pinterest pinterestpixel piximedia playplay podcloud prelinker prezi pubdirecte reddit rumbletalk
		shareaholic shareasale sharethis sharethissticky skaze slideshare soundcloud spotify teads thetradedesk tiktokvideo twenga twitch twitter
		twitterembed twittertimeline videas vimeo vshop webtvnu xandr xandrconversion xandrsegment youtube youtubeapi youtubeplaylist`,
		statistics: `
		actistat adobeanalytics adobeworkspace amplitude analytics atinternet atinternethightrack clarity clicky compteur contentsquare crazyegg emolytics
		etracker eulerian firebase force24 freshsalescrm gajs gcmanalyticsstorage getplus getquanty gtag hotjar hubspot kameleoon koban kompass
		leadforensicsold leadinfo matomo matomocloud matomoheatmap matomohightrack mautic metrica microanalytics microsoftcampaignanalytics mixpanel
		multiplegtag openwebanalytics pardot pianoanalytics piwikpro plausible plezi sharpspring shinystat simpleanalytics snapchat statcounter teambrain
		tiktok twitteruwt usercom userpilot verizondottag visiblee visualrevenue webmecanik weborama woopra wysistat wysistathightrack xiti xiti_smarttag
		zohopagesense`,
		preferences: `
		abtasty activecampaignvgo arcio brevochat calendly collectchat crisp dialoginsight disqus dynatrace elfsight facebookcomment faciliti fillout
		gagenda gallica gcmfunctionality gcmpersonalization gdocs genially geoportail gforms googlefonts googlemaps googlemapsembed googlemapssearch
		googlesignin googletagmanager goptimize gsheets gslides hcaptcha helloasso iframe intercomChat issuu jsapi m6meteo maps_noapi markerio
		marketomunchkin matomotm matterport meteofrance mtcaptcha multiplegoogletagmanager myfeelback onesignal openstreetmap pingdom pipedrive posthog
		purechat recaptcha robofabrica screeb seamlessaccess sendinblue smartsupp stonly studizz tagcommander tawkto timelinejs tolkai tolkaigenii
		trustpilot twitterwidgetsapi typekit ubib userlike uservoice weply zoho zopim`,
		necessary: `
		gcmsecurity`,
	} {
		for _, k := range strings.Fields(keys) {
			all[k] = c
		}
	}
	return all
}()
