// SPDX-License-Identifier: MIT
/// \file tests/support/spec/service_world.hpp
/// ServiceWorld: a client of one service in a simulated world, by the ready-made policy, and a
/// script of its outages. OperationWorld: the same with operations that must not be lost.
/// ManagerWorld: three services with operations, managed as one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/call/policies.hpp>
#include <belay/fleet/fleet.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/bounds.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/validated.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>
#include <belay/session/session_service.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sim/world.hpp>

#include "support/session/sim_ledger.hpp"

namespace belay_test {

using namespace std::chrono_literals;

/// The limits of the specification: detected within 30 s, connected again within three attempts and
/// 90 s.
inline constexpr belay::HeartbeatOptions service_beats{.every = 10s, .dead_after = 25s};
static_assert(belay::timeline::detects_within(service_beats, 30s));
static_assert(belay::timeline::reconnects_within(belay::policies::reconnection(), 3, 90s));
using ServicePolicy = decltype(belay::policies::reconnection());

/// Sends "hello", and passes when the service answers. A frozen service accepts, too.
struct HelloCheck {
    belay::Verdict begin(const auto& say) {
        const belay::BytesView hello = belay::as_bytes("hello");
        return say(belay::to_bytes(hello)) == belay::SendResult::sent ? belay::Verdict::pending()
                                                                      : belay::Verdict::rejected();
    }
    belay::Verdict judge(const belay::Bytes& answer, const auto&) {
        return belay::as_text(answer) == "hello" ? belay::Verdict::passed()
                                                 : belay::Verdict::rejected();
    }
};

/// A service that echoes its messages, on port 1.
struct EchoService {
    struct Echo {
        void on_message(auto& link, const belay::Bytes& m) { static_cast<void>(link.send(m)); }
    };
    using ServedConnection = belay::Supervisor<belay::sim::Accepted, belay::MaxAttempts, Echo>;

    explicit EchoService(belay::sim::Host& host) {
        host.listen(1, [this, &host](belay::sim::Accepted connection) {
            served_connections.push_back(std::make_unique<ServedConnection>(
                std::move(connection), belay::MaxAttempts{1}, belay::SupervisorOptions{}, Echo{}));
            host.attach(*served_connections.back());
            served_connections.back()->start();
        });
    }
    std::vector<std::unique_ptr<ServedConnection>> served_connections;
};

/// One transition of a client.
struct Step {
    belay::Transition change;
    belay::Instant at;
};

struct ServiceWorld {
    using Transport = belay::Heartbeat<belay::Validated<belay::sim::Tcp, HelloCheck>>;
    struct Watch {
        std::vector<Step>* steps;
        std::vector<std::string>* received;
        void on_state(auto& link, const belay::Transition& t) { steps->push_back({t, link.now()}); }
        void on_message(const belay::Bytes& m) { received->emplace_back(belay::as_text(m)); }
    };
    struct Client {
        Client(belay::sim::Host& host, ServiceWorld& world)
            : link{Transport{belay::Validated{belay::sim::Tcp{host, "service", 1}, HelloCheck{}},
                             service_beats},
                   belay::policies::reconnection(),
                   {},
                   Watch{&world.steps, &world.received}} {
            host.attach(link);
            link.start();
        }
        belay::Supervisor<Transport, ServicePolicy, Watch> link;
    };

    explicit ServiceWorld(belay::Seed seed = belay::Seed{1})
        : world{seed},
          service{world.host("service",
                             [](belay::sim::Host& h) { return std::make_unique<EchoService>(h); })},
          client{world.host("client", [this](belay::sim::Host& h) {
              return std::make_unique<Client>(h, *this);
          })} {}

    auto& link() { return client.process<Client>()->link; }
    [[nodiscard]] belay::LinkState state() { return link().status().state; }
    bool run_until(belay::LinkState wanted, belay::Duration limit) {
        return world.run_until([&] { return state() == wanted; }, limit);
    }
    /// Returns when it is connected, and for so long that the policy starts again at the next loss.
    void settle() {
        static_cast<void>(run_until(belay::LinkState::connected, 1s));
        world.run_for(15s);
        steps.clear();
    }
    /// When a state was first entered, since settle().
    [[nodiscard]] std::optional<belay::Instant> first(belay::LinkState state) const {
        for (const Step& step : steps) {
            if (step.change.to.state == state) return step.at;
        }
        return std::nullopt;
    }
    [[nodiscard]] int count(belay::LinkState state) const {
        int n = 0;
        for (const Step& step : steps) n += step.change.to.state == state ? 1 : 0;
        return n;
    }
    /// The waits that were planned after failures, since settle().
    [[nodiscard]] std::vector<belay::Duration> waits() const {
        std::vector<belay::Duration> all;
        for (const Step& step : steps) {
            const belay::LinkStatus& s = step.change.to;
            const bool waits =
                s.state == belay::LinkState::cooldown || s.state == belay::LinkState::suspended;
            if (waits) all.push_back(belay::elapsed(s.since, s.retry_at));
        }
        return all;
    }

    std::vector<Step> steps;  // outlives the world
    std::vector<std::string> received;
    belay::sim::World world;
    belay::sim::Host& service;
    belay::sim::Host& client;
};

/// Operations through a Session, on disks that stay, to a service that applies them.
struct OperationWorld {
    using Outbox = belay::Journal<belay::sim::Disk>;
    using Transport = belay::Heartbeat<belay::sim::Tcp>;
    struct Client {
        Client(belay::sim::Host& host, Outbox outbox)
            : session{Transport{belay::sim::Tcp{host, "service", 1}, service_beats},
                      belay::policies::reconnection(),
                      belay::Queue{std::move(outbox)},
                      {.id = belay::Id{std::byte{1}}}} {
            host.attach(session);
            session.start();
        }
        belay::Session<Transport, ServicePolicy, belay::Queue<Outbox>> session;
    };
    struct Service {
        Service(belay::sim::Host& host, belay::Random& bits)
            : receiver{SimLedger{host.disk(), bits}} {
            host.attach(receiver);
            host.listen(1, [this](belay::sim::Accepted connection) {
                receiver.accept(std::move(connection));
            });
        }
        belay::Receiver<belay::sim::Accepted, SimLedger> receiver;
    };

    explicit OperationWorld(belay::Seed seed = belay::Seed{1})
        : world{seed},
          service{world.host(
              "service",
              [this](belay::sim::Host& h) { return std::make_unique<Service>(h, world.bits()); })},
          client{world.host("client", [this](belay::sim::Host& h) {
              auto outbox = Outbox::open(h.disk(), "data/outbox",
                                         {.segment_bytes = 8192,
                                          .record_bytes_max = 512,
                                          .seed = belay::Seed{world.bits()()}});
              return std::make_unique<Client>(h, std::move(outbox).value());
          })} {}

    auto& session() { return client.process<Client>()->session; }
    /// Whether the operation was accepted, and is durable here.
    bool send(const std::string& text) {
        const bool taken = session().send(belay::as_bytes(text)).has_value();
        return taken && !session().commit();
    }
    /// The operations that took effect at the service, in order; read from its disk.
    std::vector<std::string> applied() {
        const SimLedger ledger{service.disk()};
        std::vector<std::string> all;
        for (const Effect& effect : ledger.effects()) all.push_back(effect.text);
        return all;
    }
    bool run_until_applied(belay::Duration limit) {
        return world.run_until([&] { return session().depth() == 0; }, limit);
    }

    belay::sim::World world;
    belay::sim::Host& service;
    belay::sim::Host& client;
};

/// The specification's manager: a fleet of services, each with a queue of operations of its own.
struct ManagerWorld {
    using Outbox = belay::Journal<belay::sim::Disk>;
    using Transport = belay::Heartbeat<belay::sim::Tcp>;
    using Service = belay::Session<Transport, ServicePolicy, belay::Queue<Outbox>>::Service;
    static constexpr const char* names[] = {"image", "sound", "text"};

    struct Client {
        Client(belay::sim::Host& host, belay::Random& bits) {
            host.attach(fleet);
            for (std::size_t i = 0; i < 3; ++i) {
                auto outbox = Outbox::open(
                    host.disk(), std::string{"data/"} + names[i],
                    {.segment_bytes = 8192, .record_bytes_max = 512, .seed = belay::Seed{bits()}});
                services[i] = &fleet.add(
                    names[i], Transport{belay::sim::Tcp{host, names[i], 1}, service_beats},
                    belay::policies::reconnection(), belay::Queue{std::move(outbox).value()},
                    belay::SessionOptions{.id = belay::Id{static_cast<std::byte>(i + 1)}});
            }
            fleet.start();
        }
        Service* services[3] = {};
        belay::Fleet<> fleet{};
    };

    explicit ManagerWorld(belay::Seed seed = belay::Seed{1}) : world{seed} {
        for (const char* const name : names) {
            hosts.push_back(&world.host(name, [this](belay::sim::Host& h) {
                return std::make_unique<OperationWorld::Service>(h, world.bits());
            }));
        }
        client = &world.host("client", [this](belay::sim::Host& h) {
            return std::make_unique<Client>(h, world.bits());
        });
    }

    auto& fleet() { return client->process<Client>()->fleet; }
    Service& service(std::size_t i) { return *client->process<Client>()->services[i]; }
    [[nodiscard]] belay::ServiceStatus status(std::size_t i) {
        return fleet().status().services[i];
    }
    [[nodiscard]] belay::LinkState state(std::size_t i) { return status(i).link.state; }
    /// Whether the operation was accepted, and is durable here.
    bool send(std::size_t i, const std::string& text) {
        return service(i).send(belay::as_bytes(text)).has_value() && !service(i).commit();
    }
    /// The operations that took effect at a service, in order; read from its disk.
    std::vector<std::string> applied(std::size_t i) {
        const SimLedger ledger{hosts[i]->disk()};
        std::vector<std::string> all;
        for (const Effect& effect : ledger.effects()) all.push_back(effect.text);
        return all;
    }

    belay::sim::World world;
    std::vector<belay::sim::Host*> hosts;
    belay::sim::Host* client = nullptr;
};

}  // namespace belay_test
