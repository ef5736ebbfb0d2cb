//! A status for tests.

use jiff::Timestamp;

use super::*;

impl Status {
    /// A made-up one, with something in most fields and nothing wrong.
    pub fn sample() -> Self {
        let at: Timestamp = "2026-11-21T04:00:00Z".parse().unwrap();
        Status {
            version: "0.1.0".into(),
            healthy: false,
            problems: Vec::new(),
            attention: Vec::new(),
            keeper: KeeperStatus {
                pid: Some(10),
                restarts: 2,
                last_death: Some("signal 9".into()),
            },
            engine: EngineStatus {
                pid: Some(11),
                state: EngineState::Serving,
                started: Some(at),
                listen: None,
                resident: Some(60 << 20),
            },
            mount: MountStatus {
                path: "/mnt/dfs".into(),
                since: Some(at),
                trouble: None,
            },
            backend: "native".into(),
            library: Some(LibraryStatus {
                listed: true,
                releases: 7,
                files: 9,
                bytes: 1 << 30,
                ..Default::default()
            }),
            providers: vec![ProviderStatus {
                name: "rd".into(),
                kind: "real-debrid".into(),
                healthy: true,
                budget_left: 200,
                budget_per_minute: 250,
                calls: 5,
                keys: vec![KeyStatus {
                    number: 1,
                    id: "3fa9c1d2".into(),
                    budgets: [(50, 250, 60), (3, 12, 1)]
                        .map(|(used, limit, seconds)| BudgetStatus {
                            calls: "all".into(),
                            used,
                            limit,
                            seconds,
                        })
                        .into(),
                    traffic_used: 7,
                    traffic_limit: Some(1 << 40),
                    ..Default::default()
                }],
                account: Some(AccountStatus {
                    plan: None,
                    premium: true,
                    expires: Some(at),
                    slots_used: Some(2),
                    slots: Some(20),
                    fair_use: Some(0.37),
                    read: at,
                }),
                ..Default::default()
            }],
            content: Some(ContentStatus {
                cache: Some(CacheStatus::default()),
                readers: vec![ReaderStatus {
                    class: "scan".into(),
                    readers: 2,
                    ..Default::default()
                }],
                ..Default::default()
            }),
            repair: Some(RepairStatus {
                stages: [("suspect".to_owned(), 1)].into(),
                per_hour: 6,
                ..RepairStatus::default()
            }),
            queue: Some(QueueStatus {
                jobs: vec![StepStatus {
                    step: "complete".into(),
                    jobs: 3,
                }],
                ..Default::default()
            }),
            fuse: Some(FuseStatus {
                operations: vec![OperationStatus {
                    operation: "READ".into(),
                    requests: 3,
                    ..Default::default()
                }],
                rollout: debridfs_fuse::RolloutStatus {
                    decisions: vec![debridfs_fuse::DecisionCount {
                        decision: debridfs_fuse::DecisionKind::Started,
                        count: 1,
                    }],
                    ..Default::default()
                },
                ..Default::default()
            }),
            callers: Some(CallersStatus {
                listeners: vec![crate::ListenerStatus {
                    name: "pages".into(),
                    connections: 2,
                    ..Default::default()
                }],
                ..Default::default()
            }),
            nfs: Some(crate::NfsStatus {
                clients: vec![crate::NfsClientStatus {
                    address: "192.0.2.7".into(),
                    requests: 3,
                    ..Default::default()
                }],
                ..Default::default()
            }),
            down: Vec::new(),
            moved_aside: Vec::new(),
            volumes: vec![VolumeStatus {
                name: "downloads".into(),
                path: "/mnt/downloads".into(),
                silent_since: None,
            }],
            last_error: None,
        }
    }
}
