// SPDX-License-Identifier: MIT
// Goal: a program goes on after its hooks and answers have thrown out of the loop. Session, Outbox,
// Requests, Pool, Fleet and Receiver keep their promises. Method: exploration. Each hook throws at
// times, and the program catches around its loop. Hosts crash and freeze, and disks fail.
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/requests.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/outbox.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>
#include <belay/session/session_service.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

#include "support/session/sim_ledger.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/ledger_server.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t messages = 40;  // of each sender
constexpr HeartbeatOptions hook_beats{.every = 1s, .dead_after = 2500ms};

struct Thrown {};

/// The observations of the test. They outlive the processes.
struct HookWorld {
    explicit HookWorld(sim::World& w) : world{w}, history{w.clock()} {}

    /// Throws at times, as a hook of this name.
    void hook(sim::Host& host, std::string_view name, std::uint32_t percent = 6) {
        if (!throws || world.events() < 5 || !host.chance(name, percent)) return;
        world.reach("thrown");
        throw Thrown{};
    }

    sim::World& world;
    sim::History history;
    std::string wrong{};
    bool throws = true;
    std::uint64_t acknowledged[2] = {};  ///< of the session and of the service
    std::uint64_t letters_pushed = 0;
    std::set<std::uint64_t> letters{};  ///< that have arrived
};

[[nodiscard]] std::string sender_name(std::size_t i) { return i == 0 ? "session" : "service"; }

/// Receives sessions at port 1, and echoes at port 2.
class HookServer {
    struct Watch {
        HookServer* server;
        void on_attached(const Id&, const Progress&) { server->hook("attached"); }
        void on_committed(const Id&, const Progress&) { server->hook("committed"); }
        void on_rejected(SessionErrc, const Id&) { server->hook("rejected", 30); }
        void on_ledger_failed(std::error_code) {
            server->run_.world.reach("ledger failed");
            exit_and_restart(server->run_.world, server->host_);
            server->hook("ledger failed", 50);
        }
    };
    struct Echo {
        HookServer* server;
        void on_state(const Transition&) { server->hook("server state", 3); }
        void on_message(auto& link, const Bytes& message) {
            const std::string text{as_text(message)};
            if (text.starts_with("letter "))
                server->run_.letters.insert(std::stoull(text.substr(7)));
            static_cast<void>(link.send(message));
            server->hook("server message", 3);
        }
    };
    using Served = Supervisor<sim::Accepted, MaxAttempts, Echo>;

public:
    HookServer(sim::Host& host, HookWorld& run) : host_{host}, run_{run} {
        const auto readable = host.disk().open(SimLedger::path(), OpenMode::read);
        if (!readable && readable.error() != std::errc::no_such_file_or_directory) {
            exit_and_restart(run.world, host);
            return;
        }
        receiver_.emplace(SimLedger{host.disk(), run.world.bits()},
                          ReceiverOptions{.commit_within = 20ms, .heartbeat = hook_beats},
                          Watch{this});
        host.attach(*receiver_);
        host.listen(1, [this](sim::Accepted c) {
            receiver_->accept(std::move(c));
            hook("accept", 3);
        });
        host.listen(2, [this](sim::Accepted c) { serve(std::move(c)); });
    }

private:
    void hook(std::string_view name, std::uint32_t percent = 6) { run_.hook(host_, name, percent); }
    void serve(sim::Accepted connection) {
        std::erase_if(served_, [](const auto& s) {
            const LinkState state = s->status().state;
            return state == LinkState::failed || state == LinkState::stopped;
        });
        served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1},
                                                   SupervisorOptions{}, Echo{this}));
        host_.attach(*served_.back());
        served_.back()->start();
        hook("accept 2", 3);
    }

    sim::Host& host_;
    HookWorld& run_;
    std::optional<Receiver<sim::Accepted, SimLedger, AllowAll, Watch>> receiver_{};
    std::vector<std::unique_ptr<Served>> served_{};
};

auto hook_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{1s}, 100ms}, ResetWhenStable{1s}, AttemptTimeout{2s}};
}
/// Writes the id of a question before its text.
struct HookIds {
    void put_id(Bytes& message, std::uint64_t id) {
        message = to_bytes(std::to_string(id) + "|" + std::string{as_text(message)});
    }
    std::optional<std::uint64_t> id_of(const Bytes& message) {
        const std::string text{as_text(message)};
        if (text.find('|') == text.npos) return std::nullopt;
        return std::stoull(text);
    }
};

/// Has one of each part. All of them use the server.
class HookClient {
    using Tcp = Heartbeat<sim::Tcp>;
    using Rules = decltype(hook_policy());
    using Log = Journal<sim::Disk>;
    struct SessionHooks {
        HookClient* client;
        std::size_t sender;
        void on_state(const Transition&) { client->hook("session state"); }
        void on_accepted(std::uint64_t) { client->hook("accepted"); }
        void on_acknowledged(std::uint64_t up_to) { client->on_acknowledged(sender, up_to); }
        void on_blocked(Blocked why, const BlockedDetails&) { client->on_blocked(why); }
        void on_stalled() { client->hook("stalled"); }
    };
    struct OutboxHooks {
        HookClient* client;
        void on_state(const Transition& change) {
            if (change.to.state == LinkState::failed) client->exit("outbox failed");
            client->hook("outbox state");
        }
        void on_message(const Bytes&) {
            if (client->outbox_->acknowledge() == SessionErrc::not_sent)
                client->run_.wrong = "an answer without a letter in flight";
            client->hook("outbox message");
        }
        void on_sent(std::uint64_t, const Bytes&) { client->hook("sent"); }
    };
    struct QuestionHooks {
        HookClient* client;
        void on_state(const Transition&) { client->hook("requests state"); }
        void on_unmatched(const Bytes&) { client->hook("unmatched", 50); }
    };
    struct PoolHooks {
        HookClient* client;
        void on_state(std::size_t, const Transition&) { client->hook("pool state"); }
        void on_message(std::size_t, const Bytes&) { client->on_pool_message(); }
        void on_idle() {
            client->borrow();
            client->hook("idle");
        }
    };
    struct FleetHooks {
        HookClient* client;
        void on_network_suspect(const NetworkSuspect&) { client->hook("suspect", 30); }
        void on_service(std::string_view, const Transition&) { client->hook("service"); }
    };
    struct ServiceHooks {
        HookClient* client;
        void on_state(const Transition&) { client->hook("service state"); }
    };
    using Services = Fleet<FleetHooks>;
    using Service = std::remove_reference_t<decltype(std::declval<Services&>().add(
        "session", std::declval<Tcp>(), hook_policy(), std::declval<Queue<Log>>(), SessionOptions{},
        std::declval<SessionHooks>()))>;

    auto open(const char* directory) {
        return Log::open(
            host_.disk(), directory,
            {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run_.world.bits()()}});
    }

public:
    HookClient(sim::Host& host, HookWorld& run)
        : host_{host},
          run_{run},
          questions_{
              tcp(2), hook_policy(), HookIds{},
              RequestsOptions{.in_flight_max = 3,
                              .waiting_max = 5,
                              .timeouts_max = 3,
                              .on_loss = host.chance("send again", 50) ? RequestsOptions::send_again
                                                                       : RequestsOptions::fail},
              QuestionHooks{this}},
          pool_{tcp(2), hook_policy(), {.size = 2}, PoolHooks{this}},
          fleet_{
              FleetOptions{
                  .dials_max = 2, .suspects_min = 3, .suspect_wait = 300ms, .suspect_wait_max = 2s},
              FleetHooks{this}} {
        auto sent = open("data/session"), letters = open("data/outbox"),
             served = open("data/fleet");
        if (!sent || !letters || !served) {
            exit("journal failed");
            return;
        }
        session_.emplace(tcp(1), hook_policy(), Queue{std::move(*sent)}, session_options(0),
                         SessionHooks{this, 0});
        outbox_.emplace(tcp(2), hook_policy(), Queue{std::move(*letters)},
                        OutboxOptions{.promise = OutboxOptions::at_least_once, .in_flight_max = 4},
                        OutboxHooks{this});
        service_ = &fleet_.add("session", tcp(1), hook_policy(), Queue{std::move(*served)},
                               session_options(1), SessionHooks{this, 1});
        for (const char* const name : {"a", "b", "c"})
            fleet_.add(name, tcp(2), hook_policy(), ServiceHooks{this});
        start(*session_, *outbox_, questions_, pool_, fleet_);
        send();
        use_pool();
    }
    [[nodiscard]] bool is_done() {
        if (!service_) return false;
        const bool sent = run_.acknowledged[0] == messages && run_.acknowledged[1] == messages &&
                          run_.letters_pushed == messages && outbox_->depth() == 0;
        return sent && outbox_->status().link.state == LinkState::connected &&
               questions_.status().link.state == LinkState::connected &&
               pool_.status().connected == 2 && pool_answers_ >= 5 &&
               fleet_.counters().count(LinkState::connected) == 4;
    }
    /// Returns what is wrong with the questions and letters, when all have had their time.
    [[nodiscard]] std::string judge() {
        const RequestsStatus s = questions_.status();
        if (open_ != 0) return std::to_string(open_) + " questions have not ended";
        if (s.asked != s.answered + s.timed_out + s.lost + s.cancelled) return "wrong counters";
        if (run_.letters.size() != messages) return "a letter is lost";
        return {};
    }

private:
    template <class... Parts>
    void start(Parts&... parts) {
        (host_.attach(parts), ...);
        (parts.start(), ...);
    }
    void hook(std::string_view name, std::uint32_t percent = 6) { run_.hook(host_, name, percent); }
    void exit(std::string_view mark) {
        run_.world.reach(mark);
        if (!std::exchange(exits_, true)) exit_and_restart(run_.world, host_);
    }
    [[nodiscard]] Tcp tcp(std::uint16_t port) { return {{host_, "server", port}, hook_beats}; }
    static SessionOptions session_options(std::size_t sender) {
        return {.id = Id{static_cast<std::byte>(sender + 1)},
                .greeting_max = 1500ms,
                .heartbeat = hook_beats};
    }
    void send() {
        host_.after(200ms, [this] { send(); });
        send_next(*session_, 0);
        send_next(*service_, 1);
        const std::uint64_t letter = run_.letters_pushed + 1;
        if (letter <= messages && !outbox_->push("letter " + std::to_string(letter)) &&
            !outbox_->commit()) {
            run_.letters_pushed = letter;
        }
        if (!run_.throws) return;
        ask(host_.chance("short", 30) ? 100ms : 3s);
        hook("timer", 2);
    }
    void send_next(auto& session, std::size_t sender) {
        const std::uint64_t next = session.status().taken + 1;
        if (next > messages) return;
        const std::string name = sender_name(sender);
        run_.history.invoke(name, next);
        static_cast<void>(session.send(as_bytes(name + " " + std::to_string(next))));
    }
    void ask(Duration within) {
        const auto asked =
            questions_.ask(to_bytes("question"), within,
                           [this, ended = false](const Result<Bytes, Failure>&) mutable {
                               if (std::exchange(ended, true))
                                   run_.wrong = "a question has ended twice";
                               --open_;
                               if (run_.throws && host_.chance("ask in the answer", 20)) ask(1s);
                               hook("answer", 15);
                           });
        if (!asked) return;
        ++open_;
        if (host_.chance("cancel", 10)) questions_.cancel(*asked);
    }
    void on_acknowledged(std::size_t sender, std::uint64_t up_to) {
        std::uint64_t& known = run_.acknowledged[sender];
        if (up_to < known) run_.wrong = "fewer messages are acknowledged than before";
        while (known < up_to) run_.history.succeed(sender_name(sender), ++known);
        hook("acknowledged");
    }
    void on_blocked(Blocked why) {
        if (why != Blocked::journal_failed)
            run_.wrong = "a session is blocked: " + std::string{to_string(why)};
        exit("journal failed");
        hook("blocked", 50);
    }
    void borrow() {
        if (!lease_) lease_ = pool_.acquire();
        if (!lease_ || lease_.send(to_bytes("hello")) != SendResult::sent) lease_ = {};
    }
    void on_pool_message() {
        if (lease_) ++pool_answers_;
        lease_ = {};
        hook("pool message");
    }
    void use_pool() {
        host_.after(300ms, [this] { use_pool(); });
        const auto s = pool_.status();
        if (s.leased + s.suspect + s.idle != s.connected) run_.wrong = "wrong numbers of the pool";
        if (!lease_) borrow();
    }

    sim::Host& host_;
    HookWorld& run_;
    bool exits_ = false;
    int open_ = 0;  // questions
    int pool_answers_ = 0;
    std::optional<Session<Tcp, Rules, Queue<Log>, SessionHooks>> session_{};
    std::optional<Outbox<Tcp, Rules, Queue<Log>, OutboxHooks>> outbox_{};
    Requests<Tcp, Rules, HookIds, QuestionHooks> questions_;
    Pool<Tcp, Rules, PoolHooks> pool_;
    typename Pool<Tcp, Rules, PoolHooks>::Lease lease_{};
    Services fleet_;
    Service* service_ = nullptr;
};

/// Runs the world for a time, as a program that catches what its hooks throw.
void run_and_catch(sim::World& world, Duration time) {
    const Instant end = after(world.now(), time);
    for (;;) {
        try {
            return world.run_for(elapsed(world.now(), end));
        } catch (const Thrown&) {
        }
    }
}

bool parts_with_throwing_hooks(sim::World& world) {
    HookWorld& run = world.make<HookWorld>(world);
    sim::Host& server =
        world.host("server", [&run](sim::Host& h) { return std::make_unique<HookServer>(h, run); });
    sim::Host& client =
        world.host("client", [&run](sim::Host& h) { return std::make_unique<HookClient>(h, run); });
    fill_disk_at_times(world, "client", 9'000);
    for (const char* const mark : {"thrown", "ledger failed", "journal failed", "outbox failed"})
        world.reachable(mark);
    world.always("the rules of the parts", [&run] { return run.wrong; });
    run_and_catch(world, 13s);
    // Nothing catches around heal().
    run.throws = false;
    world.heal();
    run.throws = true;
    run_and_catch(world, 3s);
    run.throws = false;
    if (!world.eventually("all is sent, and every connection is open", 60s, [&] {
            auto* const process = client.process<HookClient>();
            return process != nullptr && process->is_done();
        })) {
        return false;
    }
    world.run_for(6s);  // the longest question has ended
    for (const std::size_t sender : {0U, 1U}) {
        Random bits{Seed{1}};
        const SimLedger ledger{server.disk(), bits};
        const std::string name = sender_name(sender);
        for (const Effect& e : ledger.effects()) {
            if (e.text.starts_with(name))
                run.history.effect(name, std::stoull(e.text.substr(name.size() + 1)));
        }
    }
    return world.require("every question has ended, and no letter is lost",
                         client.process<HookClient>()->judge()) &&
           world.require("sessions deliver once, and in order", exactly_once_in_order(run.history));
}

}  // namespace

TEST_CASE("Session, Outbox, Requests, Pool, Fleet and Receiver go on after hooks that throw",
          "[worlds][throwing_hooks][sim][property]") {
    const auto options = world_options({.kills = 2,
                                        .pauses = 2,
                                        .latencies = 3,
                                        .early_closes = 2,
                                        .disk_refusals = 1,
                                        .disk_errors = 1,
                                        .late_disk_errors = 1,
                                        .exhaustions = 2,
                                        .within = 11s,
                                        .lasts_max = 4s});
    CHECK(explored_as_wanted("throwing_hooks", options, parts_with_throwing_hooks));
}
