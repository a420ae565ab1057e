//! A project as manifests for Kubernetes, and what of it cannot be carried over.
//!
//! A service becomes a Deployment, or a Job where it is to end; a Service by its name and each of its aliases, and one more
//! for what it publishes. Volumes become claims, secrets and configurations what they are called there. The API is
//! <https://kubernetes.io/docs/reference/kubernetes-api/>.

mod container;
mod keys;
mod names;
mod pod;
mod ports;
mod storage;

use serde_json::{Value, json};

use self::names::Names;
use super::{Project, service::Service, tree::text_of};
use crate::engine::error::Result;

/// What a project comes to.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The objects, those that others refer to first.
    pub objects: Vec<Value>,
    /// What is lost, or to be done by hand: a line each.
    pub notes: Vec<String>,
}

/// One service on its way.
struct Export<'a> {
    service: Service<'a>,
    names: &'a Names,
    notes: &'a mut Vec<String>,
}

/// What a mounted file or volume is made of: the pod's volume, and the container's mount.
type Mounted = (Value, Value);

impl Manifests {
    /// Of all enabled services.
    ///
    /// # Errors
    /// Where two names become one, or a secret's file cannot be read.
    pub fn of(project: &Project) -> Result<Self> {
        let names = Names::new(project)?;
        let mut manifests = Self::default();
        manifests.storage(project, &names)?;
        for (name, keys) in project.services() {
            let service = Service { project, name, keys };
            let mut export = Export { service, names: &names, notes: &mut manifests.notes };
            let objects = export.objects()?;
            manifests.objects.extend(objects);
        }
        manifests.networks(project);
        Ok(manifests)
    }

    fn networks(&mut self, project: &Project) {
        for (key, network) in project.model.get("networks").and_then(Value::as_object).into_iter().flatten() {
            let is_plain = network.as_object().is_none_or(|keys| keys.keys().all(|key| key == "name" || key == "ipam"));
            if key != "default" || !is_plain {
                let place = project.place(&["networks", key]);
                self.notes.push(format!(
                    "{place}networks.{key}: all pods reach each other: use a NetworkPolicy to keep them apart"
                ));
            }
        }
    }
}

impl Export<'_> {
    fn objects(&mut self) -> Result<Vec<Value>> {
        self.note_keys();
        let workload = self.workload()?;
        let serves = workload["kind"] == "Deployment" || !self.container_ports().is_empty();
        let mut objects = vec![workload];
        if serves {
            objects.extend(self.services());
        }
        Ok(objects)
    }

    /// Something of the service is lost, or to be done by hand.
    fn note(&mut self, key: &str, why: &str) {
        let name = self.service.name;
        let keys: Vec<_> = ["services", name].into_iter().chain(key.split('.')).collect();
        let place = self.service.project.place(&keys);
        self.notes.push(format!("{place}services.{name}.{key}: {why}"));
    }

    fn name(&self) -> &str {
        self.names.service(self.service.name)
    }

    /// What tells its pods from others: the selector of all that means them.
    fn labels(&self) -> Value {
        json!({
            "app.kubernetes.io/name": self.name(),
            "app.kubernetes.io/part-of": names::label(&self.service.project.name),
        })
    }

    fn text(&self, key: &str) -> Option<String> {
        self.service.keys.pointer(&format!("/{}", key.replace('.', "/"))).filter(|v| !v.is_null()).map(text_of)
    }

    fn list(&self, key: &str) -> Vec<Value> {
        self.service.keys.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
    }

    fn entries(&self, key: &str) -> Vec<(String, Value)> {
        let all = self.service.keys.get(key).and_then(Value::as_object).into_iter().flatten();
        all.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn flag(&self, key: &str) -> bool {
        self.service.keys.get(key) == Some(&json!(true))
    }

    fn workload(&mut self) -> Result<Value> {
        let policy = self.text("restart").or_else(|| self.text("deploy.restart_policy.condition"));
        let policy = policy.unwrap_or_default();
        let is_job = self.service.project.is_job(self.service.name) || ["no", "none"].contains(&policy.as_str());
        let (mut pod, claims) = self.pod()?;
        let labels = self.labels();
        let metadata = json!({ "name": self.name(), "labels": labels });
        let mut template = json!({ "labels": labels });
        let annotations = self.annotations();
        if annotations.as_object().is_some_and(|all| !all.is_empty()) {
            template["annotations"] = annotations;
        }
        let scale = self.service.scale();
        if is_job {
            let retries = policy.split_once(':').map_or("6", |(_, count)| count).parse().unwrap_or(6);
            let again = policy.starts_with("on-failure");
            pod["restartPolicy"] = json!(if again { "OnFailure" } else { "Never" });
            let mut spec = json!({
                "backoffLimit": if again { retries } else { 0 },
                "template": { "metadata": template, "spec": pod },
            });
            if scale > 1 {
                spec["completions"] = json!(scale);
                spec["parallelism"] = json!(scale);
            }
            return Ok(json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec }));
        }
        if policy.starts_with("on-failure") {
            self.note("restart", "a Deployment starts its pods again whatever their exit code");
        }
        let mut spec = json!({
            "replicas": scale,
            "selector": { "matchLabels": labels },
            "template": { "metadata": template, "spec": pod },
        });
        if claims {
            // A volume is on one node at a time: the old pod has to go before the new one comes.
            spec["strategy"] = json!({ "type": "Recreate" });
            if scale > 1 {
                self.note("volumes", "its replicas share one claim, which one node alone mounts: they all run there");
            }
        }
        Ok(json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec }))
    }

    /// Its labels: free text, which is an annotation there.
    fn annotations(&mut self) -> Value {
        let mut annotations = serde_json::Map::new();
        for key in ["labels", "annotations"] {
            for (name, value) in self.entries(key) {
                if names::is_qualified(&name) {
                    annotations.insert(name, json!(text_of(&value)));
                } else {
                    self.note(key, &format!("{name:?} is no name for an annotation"));
                }
            }
        }
        Value::Object(annotations)
    }
}
