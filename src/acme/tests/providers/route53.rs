//! Route 53's interface, signed.

use super::{server::*, sets::*, *};

fn between<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    text.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
}

#[tokio::test]
async fn route53() {
    let sets = Arc::new(Sets::default());
    let state = sets.clone();
    let endpoint = serve(move |asked| {
        let signed = asked.authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/")
            && asked.authorization.contains("/us-east-1/route53/aws4_request")
            && asked.authorization.contains("Signature=");
        if !signed {
            let text = "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>The security token is invalid.</Message></Error></ErrorResponse>";
            return (403, text.into());
        }
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let plain = |text: &str| text.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&");
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/2013-04-01/hostedzone") => (
                200,
                "<?xml version=\"1.0\"?><ListHostedZonesResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><HostedZones>\
                 <HostedZone><Id>/hostedzone/Z1</Id><Name>example.com.</Name><CallerReference>x</CallerReference>\
                 <Config><PrivateZone>false</PrivateZone></Config><ResourceRecordSetCount>2</ResourceRecordSetCount></HostedZone>\
                 <HostedZone><Id>/hostedzone/Z2</Id><Name>inside.example.</Name><CallerReference>y</CallerReference>\
                 <Config><PrivateZone>true</PrivateZone></Config></HostedZone>\
                 </HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesResponse>"
                    .into(),
            ),
            ("GET", "/2013-04-01/hostedzone/Z1/rrset") => {
                let sets = state.0.lock().unwrap();
                let sets: String = sets
                    .iter()
                    .map(|(name, kind, ttl, values)| {
                        let values: String = values
                            .iter()
                            .map(|value| format!("<ResourceRecord><Value>{}</Value></ResourceRecord>", escape(value)))
                            .collect();
                        let name = name.replace('*', "\\052");
                        format!(
                            "<ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type><TTL>{ttl}</TTL><ResourceRecords>{values}</ResourceRecords></ResourceRecordSet>"
                        )
                    })
                    .collect();
                let alias = "<ResourceRecordSet><Name>alias.example.com.</Name><Type>A</Type><AliasTarget><HostedZoneId>Z9</HostedZoneId>\
                    <DNSName>lb.example.</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>";
                let text = format!(
                    "<ListResourceRecordSetsResponse><ResourceRecordSets>{alias}{sets}</ResourceRecordSets>\
                     <IsTruncated>false</IsTruncated><MaxItems>300</MaxItems></ListResourceRecordSetsResponse>"
                );
                (200, text)
            }
            ("POST", "/2013-04-01/hostedzone/Z1/rrset/") => {
                let (action, name) = (between(&asked.body, "Action")[0], between(&asked.body, "Name")[0]);
                let kind = between(&asked.body, "Type")[0];
                let ttl = between(&asked.body, "TTL")[0].parse().unwrap();
                let values: Vec<String> = between(&asked.body, "Value").into_iter().map(plain).collect();
                let mut sets = state.0.lock().unwrap();
                let there = sets.iter().position(|set| set.0 == name && set.1 == kind);
                match (action, there) {
                    ("UPSERT", Some(at)) => sets[at] = (name.into(), kind.into(), ttl, values),
                    ("UPSERT", None) => sets.push((name.into(), kind.into(), ttl, values)),
                    ("DELETE", Some(at)) if sets[at].3 == values && sets[at].2 == ttl => drop(sets.remove(at)),
                    _ => {
                        let text = "<ErrorResponse><Error><Code>InvalidChangeBatch</Code><Message>no such set</Message></Error></ErrorResponse>";
                        return (400, text.into());
                    }
                }
                (200, "<ChangeResourceRecordSetsResponse><ChangeInfo><Status>PENDING</Status></ChangeInfo></ChangeResourceRecordSetsResponse>".into())
            }
            _ => (404, "<ErrorResponse><Error><Message>nothing here</Message></Error></ErrorResponse>".into()),
        }
    })
    .await;
    let world = World::system();
    let with = |id: &str| {
        let given = credentials(&[("access_key_id", id), ("secret_access_key", "shhh")]);
        open(DnsProviderKind::Route53, &at(endpoint.clone()), &given, &world).unwrap()
    };
    let provider = with("AKID");
    exercise(&*provider).await;
    let alias = provider
        .create("example.com", &record("alias.example.com", DnsRecordKind::A, "192.0.2.1"))
        .await;
    assert!(alias.unwrap_err().to_string().contains("alias"), "an alias is left alone");
    let refused = with("OTHER").zones().await.unwrap_err().to_string();
    assert!(refused.ends_with("The security token is invalid."), "{refused}");
}
