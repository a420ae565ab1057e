//! What an interface is plugged into, and how: one primitive for all drivers.

use bridge::{Bridge, DefaultRoute, Settings, Veth};
use macvlan::{Beside, Kind};
use nat::Nat;
use process::{Child, Errno, Error, Host, Inside, Primitive, Result};
use serde_json::{Value, json};

use super::{Interface, plugin::Plugin};

/// What an interface is plugged into.
#[derive(Debug, Clone)]
pub enum Link {
    /// A bridge.
    Bridge {
        /// Made where it is not there.
        bridge: Bridge,
        /// The way out, and the walls.
        nat: Nat,
        /// Whether it reaches the host alone.
        isolated: bool,
    },
    /// The wire of one of the host's interfaces.
    Beside {
        /// That interface.
        parent: String,
        /// How the wire is shared.
        kind: Kind,
        /// The largest packet in bytes, where it was said.
        mtu: Option<u32>,
        /// Where what goes nowhere else goes.
        route: DefaultRoute,
    },
    /// What somebody else's program makes.
    External {
        /// That program.
        plugin: Plugin,
        /// What it is asked; the container's process is added.
        request: Value,
        /// Where what goes nowhere else goes.
        route: DefaultRoute,
    },
}

/// An interface on its way into a container.
#[derive(Debug)]
pub enum Plug {
    /// On a bridge.
    Cable(Veth),
    /// On a wire of the host's.
    Beside(Beside),
    /// Made by a plug-in.
    External(Box<External>),
}

impl Interface {
    /// The primitives that plug it in: the walls come before the cable, so that nobody is reached who should not be.
    pub fn plug(&self) -> (Option<Nat>, Plug) {
        let default = |route: &DefaultRoute| if self.default_route { route.clone() } else { DefaultRoute::None };
        match &self.link {
            Link::Bridge { bridge, nat, isolated } => {
                let mut veth = Veth::new(bridge.clone(), &self.id, self.addresses.clone());
                veth.interface.clone_from(&self.name);
                veth.mac = self.mac;
                veth.default_route = self.default_route;
                veth.isolated = *isolated;
                veth.hairpin = self.hairpin;
                veth.honest = self.honest;
                (Some(nat.clone()), Plug::Cable(veth))
            }
            Link::Beside { parent, kind, mtu, route } => {
                let mut beside = Beside::new(parent, *kind, self.addresses.clone());
                beside.interface.clone_from(&self.name);
                beside.mac = self.mac;
                beside.mtu = *mtu;
                beside.default_route = default(route);
                (None, Plug::Beside(beside))
            }
            Link::External { plugin, request, route } => {
                let (plugin, request) = (plugin.clone(), request.clone());
                let interface = Interface { link: self.link.clone(), ..self.clone() };
                (
                    None,
                    Plug::External(Box::new(External {
                        plugin,
                        request,
                        interface,
                        route: default(route),
                        settings: None,
                    })),
                )
            }
        }
    }
}

impl Plug {
    /// Does what is to be done inside in the network namespace of the calling thread: for a container that runs already.
    pub fn enter_here(&self) -> Result<(), Errno> {
        match self {
            Self::Cable(veth) => veth.enter_here(),
            Self::Beside(beside) => beside.enter_here(),
            Self::External(external) => external.configure(None),
        }
    }

    /// For when the container's end is up: what was sent to it too early goes on now.
    pub fn arrived(&self, host: &mut Host, child: &Child) {
        if let Self::Cable(veth) = self {
            // Else the kernel asks again by itself, in a second.
            let _ = veth.arrived(host, child);
        }
    }

    fn inner(&self) -> &dyn Primitive {
        match self {
            Self::Cable(veth) => veth,
            Self::Beside(beside) => beside,
            Self::External(external) => &**external,
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Primitive {
        match self {
            Self::Cable(veth) => veth,
            Self::Beside(beside) => beside,
            Self::External(external) => &mut **external,
        }
    }
}

impl Primitive for Plug {
    fn name(&self) -> &'static str {
        self.inner().name()
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        self.inner_mut().prepare(host)
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        self.inner_mut().attach(host, child)
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        self.inner().enter(inside)
    }

    fn step(&self, step: u16) -> String {
        self.inner().step(step)
    }

    fn hint(&self, step: u16, errno: Errno) -> Option<String> {
        self.inner().hint(step, errno)
    }
}

/// An interface that a plug-in puts into the container's namespace; addresses and routes are ours. What it leaves on the
/// host is the caller's to have taken down.
#[derive(Debug)]
pub struct External {
    plugin: Plugin,
    request: Value,
    interface: Interface,
    route: DefaultRoute,
    settings: Option<Settings>,
}

impl External {
    fn configure(&self, inside: Option<&Inside>) -> Result<(), Errno> {
        self.settings.as_ref().map_or(Ok(()), |settings| settings.apply(inside))
    }
}

impl Primitive for External {
    fn name(&self) -> &'static str {
        "plug-in"
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        self.settings = Some(Settings::new(&self.interface.name, &self.interface.addresses, &self.route, true)?);
        Ok(())
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        let pid = child.pid.as_raw();
        self.request["endpoint"]["pid"] = json!(pid);
        self.request["endpoint"]["netns"] = json!(format!("/proc/{pid}/ns/net"));
        let mut said = String::new();
        let what = || format!("setup of {} by {}", self.interface.name, self.plugin.program.display());
        let called = host.act(what, || {
            self.plugin.call(&self.request).map(drop).map_err(|words| {
                said = words;
                Errno::EIO
            })
        });
        called.map_err(|error: Error| error.hint(said))
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        self.configure(Some(inside))
    }

    fn step(&self, step: u16) -> String {
        self.settings.as_ref().map(|settings| settings.words(step)).unwrap_or_default()
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        (errno == Errno::ENODEV).then(|| "the plug-in has put no interface of that name into the namespace".to_owned())
    }
}
