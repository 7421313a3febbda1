// SPDX-License-Identifier: MIT
// Goal: HttpCalls gives each call its own response, executes no request twice that must not be
// repeated, and leaves no request, permit or probe behind when callers are destroyed. Method:
// exploration. A client with few connections looks up, waits, dials and sends in virtual time;
// requests are hedged, shared and repeated, and are aborted in each of these phases.
#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/task.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/http/http_calls.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t http_callers = 8;
constexpr std::size_t wires_max = 3;
constexpr int answers_wanted = 8;
const std::string http_origin = "http://server.example";

/// The observations of the test, which outlive the processes.
struct HttpWorld {
    explicit HttpWorld(sim::World& w) : world{w} {}

    sim::World& world;
    std::string wrong{};
    std::map<std::string, int> executed{};  ///< by the target of the request
    int begun = 0;                          ///< calls, also of processes that were killed
    std::array<int, http_callers> answered{};
};

/// Executes each request when it arrives, and answers it at once, late, with 503, or never.
class WireServer {
    struct Peer;
    struct Guest {
        WireServer* server;
        std::weak_ptr<Peer> peer{};
        void on_message(auto&, const Bytes& message) {
            server->execute(peer, std::string{as_text(message)});
        }
    };
    struct Peer {
        Peer(sim::Accepted connection, WireServer* server)
            : link{std::move(connection), MaxAttempts{1}, SupervisorOptions{}, Guest{server}} {}
        Supervisor<sim::Accepted, MaxAttempts, Guest> link;
    };

public:
    WireServer(sim::Host& host, HttpWorld& run) : host_{host}, run_{run} {
        host.listen(1, [this](sim::Accepted connection) {
            std::erase_if(
                peers_, [](const auto& p) { return p->link.status().state == LinkState::failed; });
            const auto peer = std::make_shared<Peer>(std::move(connection), this);
            peer->link.observer().peer = peer;
            peers_.push_back(peer);
            host_.attach(peer->link);
            peer->link.start();
        });
    }

private:
    void execute(const std::weak_ptr<Peer>& to, const std::string& target) {
        ++run_.executed[target];
        const bool is_well = run_.world.healed_at().has_value();
        if (!is_well && host_.chance("never answers", 5)) return;
        const std::string status = !is_well && host_.chance("is busy", 10) ? "503 " : "200 ";
        const Duration late = 20ms * (is_well ? 0 : host_.choose("late by", 20));
        host_.after(late, [to, answer = status + target] {
            const auto peer = to.lock();
            if (peer) static_cast<void>(peer->link.send(to_bytes(answer)));
        });
    }

    sim::Host& host_;
    HttpWorld& run_;
    std::vector<std::shared_ptr<Peer>> peers_{};
};

/// An HttpLike with at most `wires_max` connections, which it keeps. A connection on which a
/// response is outstanding when its request is aborted is closed.
class WireHttp {
    struct Wire;
    struct Transfer {
        HttpRequest request;
        std::optional<Completion<HttpResponse>> done;
        std::string target{};
        Wire* wire = nullptr;
        bool sent = false;
    };
    using Ptr = std::shared_ptr<Transfer>;
    struct Tap {
        WireHttp* http;
        Wire* wire;
        void on_state(auto&, const Transition& change) { http->on_state(*wire, change.to.state); }
        void on_message(auto&, const Bytes& message) {
            http->on_message(*wire, std::string{as_text(message)});
        }
    };
    struct Wire {
        explicit Wire(WireHttp& http)
            : link{sim::Tcp{http.host_, "server", 1}, MaxAttempts{1}, SupervisorOptions{},
                   Tap{&http, this}} {}
        Ptr transfer{};
        bool is_over = false;
        Supervisor<sim::Tcp, MaxAttempts, Tap> link;
    };

public:
    class Handle {
    public:
        Handle(WireHttp& http, Ptr transfer) : http_{&http}, transfer_{std::move(transfer)} {}
        Handle(Handle&&) noexcept = default;
        ~Handle() {
            if (transfer_) http_->drop(transfer_);
        }

    private:
        WireHttp* http_;
        Ptr transfer_;
    };

    WireHttp(sim::Host& host, HttpWorld& run) : host_{host}, run_{run} {}

    [[nodiscard]] Handle request(HttpRequest request, Completion<HttpResponse> done) {
        const Ptr t{new Transfer{std::move(request), std::move(done)}};
        t->target = t->request.method + " " + t->request.url.substr(http_origin.size());
        ++pending_;
        if (t->request.deadline <= Duration::zero()) {
            fail(t, HttpErrc::timed_out);
        } else if (host_.chance("fails at once", 3)) {
            fail(t, HttpErrc::name_not_found);
        } else {
            const std::weak_ptr<Transfer> weak = t;
            host_.after(t->request.deadline, [this, weak] {
                if (const Ptr late = weak.lock(); late && late->done)
                    fail(late, HttpErrc::timed_out);
            });
            host_.after(host_.choose("look-up", 4) * 10ms, [this, weak] {
                if (const Ptr found = weak.lock(); found && found->done) place(found);
            });
        }
        return {*this, t};
    }
    /// The requests that are neither answered nor aborted.
    [[nodiscard]] std::size_t pending() const noexcept { return pending_; }

private:
    void place(const Ptr& t) {
        std::erase_if(wires_, [](const auto& w) { return w->is_over; });
        for (const auto& wire : wires_) {
            if (wire->transfer || wire->link.status().state != LinkState::connected) continue;
            return put(*wire, t);
        }
        if (wires_.size() >= wires_max) {
            run_.world.reach("waits for a connection");
            return waiting_.push_back(t);
        }
        Wire& wire = *wires_.emplace_back(std::make_unique<Wire>(*this));
        wire.transfer = t;
        t->wire = &wire;
        host_.attach(wire.link);
        wire.link.start();
    }
    void put(Wire& wire, const Ptr& t) {
        wire.transfer = t;
        t->wire = &wire;
        t->sent = wire.link.send(to_bytes(t->target)) == SendResult::sent;
        if (!t->sent) fail(t, HttpErrc::lost);
    }
    void on_state(Wire& wire, LinkState state) {
        if (state == LinkState::connected && wire.transfer) return put(wire, Ptr{wire.transfer});
        if (state != LinkState::failed && state != LinkState::stopped) return;
        wire.is_over = true;
        const Ptr t = wire.transfer;
        if (t) fail(t, t->sent ? HttpErrc::lost : HttpErrc::not_connected);
        later();
    }
    void on_message(Wire& wire, const std::string& message) {
        const Ptr t = wire.transfer;
        if (!t || message.substr(4) != t->target) {
            run_.wrong = "a connection with an outstanding response was kept";
            return;
        }
        HttpResponse response{.status = std::stoi(message.substr(0, 3)), .body = t->target};
        t->sent = false;  // the connection is free
        answer(t, std::move(response));
    }
    void fail(const Ptr& t, HttpErrc why) {
        answer(t, {.failure = Failure::from(why), .sent = t->sent});
    }
    void answer(const Ptr& t, HttpResponse response) {
        auto done = std::exchange(t->done, std::nullopt);
        --pending_;
        leave(*t);
        (*done)(std::move(response));
    }
    void drop(const Ptr& t) {
        if (!t->done) return;
        run_.world.reach(t->sent              ? "aborted after it was sent"
                         : t->wire != nullptr ? "aborted in a dial"
                                              : "aborted before a dial");
        --pending_;
        t->done.reset();
        leave(*t);
    }
    /// Frees the connection of a request that ended, or closes it.
    void leave(Transfer& t) {
        std::erase_if(waiting_, [&](const Ptr& w) { return w.get() == &t; });
        Wire* const wire = std::exchange(t.wire, nullptr);
        if (wire == nullptr) return;
        wire->transfer.reset();
        if (t.sent) {
            wire->is_over = true;
            wire->link.stop();
        }
        later();
    }
    // In an event of its own, because a link may be on the stack.
    void later() {
        host_.after(0ms, [this] {
            while (!waiting_.empty()) {
                const Ptr next = waiting_.front();
                waiting_.pop_front();
                const std::size_t before = waiting_.size();
                place(next);
                if (waiting_.size() != before) return;
            }
        });
    }

    sim::Host& host_;
    HttpWorld& run_;
    std::size_t pending_ = 0;
    std::deque<Ptr> waiting_{};
    std::vector<std::unique_ptr<Wire>> wires_{};
};
static_assert(explain::http_like<WireHttp>());

auto http_pipeline(CircuitBreaker<sim::Clock>& breaker, Bulkhead& bulkhead, RateLimiter& limiter) {
    return Pipeline{
        Timeout{6s},     Retrying{Policy{Backoff{EqualJitter{}, Cap{1s}, 100ms}, MaxAttempts{3}}},
        Shared{breaker}, Queued{bulkhead},
        Hedge{150ms, 2}, Queued{limiter},
        Timeout{1500ms}};
}
using HttpPipeline =
    decltype(http_pipeline(std::declval<CircuitBreaker<sim::Clock>&>(), std::declval<Bulkhead&>(),
                           std::declval<RateLimiter&>()));

/// Calls in three ways: hedged and shared, as a POST, and through a Pipeline around single requests.
class HttpCaller {
    using Sleeper = LoopSleeper<sim::Host>;
    using Calls = HttpCalls<WireHttp, Sleeper>;
    using Call = Task<Outcome<HttpResponse>>;
    static constexpr HttpCallsOptions options{.first_wait = 20ms,
                                              .wait_max = 500ms,
                                              .attempt_timeout = 1s,
                                              .breaker = {.percent = 50, .min_calls = 10},
                                              .breaker_window = 2s,
                                              .breaker_open = 300ms,
                                              .unanswered_after = 800ms,
                                              .hedge_after = 150ms,
                                              .single_flight = true};

public:
    HttpCaller(sim::Host& host, HttpWorld& run)
        : host_{host},
          run_{run},
          sleeper_{host},
          http_{host, run},
          calls_{http_, sleeper_, options},
          once_{http_, sleeper_, {.attempts_max = 1, .breaker = {.percent = 0}}},
          breaker_{ConsecutiveFailures{4}, OpenFor{300ms}, run.world.clock()},
          bulkhead_{{.limit = 3, .queue = http_callers}},
          limiter_{Rate{40, 1s}, Burst{5}, 2 * http_callers},
          pipeline_{http_pipeline(breaker_, bulkhead_, limiter_)} {
        work();
    }
    [[nodiscard]] bool is_done() const {
        return std::ranges::all_of(run_.answered, [](int n) { return n >= answers_wanted; }) &&
               std::ranges::none_of(slots_, [](const Slot& s) { return s.task.has_value(); });
    }
    /// Returns what is not released, although all calls have ended.
    [[nodiscard]] std::string left_behind() const {
        if (http_.pending() != 0) return "a request";
        if (bulkhead_.running() != 0) return "a permit of the bulkhead";
        if (bulkhead_.waiting() + limiter_.waiting() != 0) return "a caller in a queue";
        if (breaker_.state() == BreakerState::open) return "an open breaker";
        if (calls_.breaker_state(http_origin) == BreakerState::open) return "a host's open breaker";
        for (const Calls* const calls : {&calls_, &once_}) {
            const HttpCallsCounters& n = calls->counters();
            if (n.calls != n.succeeded + n.failed + n.rejected + n.dropped) return "a count";
        }
        return {};
    }

private:
    struct Slot {
        std::optional<Call> task{};
        std::string target{};
        bool is_unrepeatable = false;
    };

    void work() {
        host_.after(50ms, [this] { work(); });
        for (std::size_t i = 0; i < http_callers; ++i) look(slots_[i], i);
        if (bulkhead_.running() > 3) run_.wrong = "too many calls at a time";
        if (breaker_.state() == BreakerState::open) run_.world.reach("breaker open");
        if (calls_.breakers(BreakerState::open) != 0) run_.world.reach("host's breaker open");
        if (calls_.counters().shared != 0) run_.world.reach("shared");
        if (calls_.counters().hedges != 0) run_.world.reach("hedged");
        const bool idle =
            std::ranges::none_of(slots_, [](const Slot& s) { return s.task.has_value(); });
        if (idle && http_.pending() != 0) run_.wrong = "a request of no call";
    }
    void look(Slot& slot, std::size_t i) {
        if (slot.task && slot.task->done()) take(slot, i);
        if (slot.task && !run_.world.healed_at() && host_.chance("is destroyed", 4)) {
            slot.task.reset();
        }
        if (slot.task || run_.answered[i] >= answers_wanted || !host_.chance("begins", 40)) return;
        begin(slot, i);
    }
    void begin(Slot& slot, std::size_t i) {
        const std::string own = "/" + std::to_string(++run_.begun);
        slot.is_unrepeatable = false;
        if (i % 3 == 0) {
            const std::string path = "/shared/" + std::to_string(run_.begun / 4);
            slot.target = "GET " + path;
            slot.task.emplace(calls_.get(http_origin + path));
        } else if (i % 3 == 1) {
            HttpRequest post{.url = http_origin + own, .method = "POST", .deadline = 5s};
            slot.is_unrepeatable = host_.chance("has no key", 50);
            if (!slot.is_unrepeatable) post.headers.set({"Idempotency-Key", own});
            if (slot.is_unrepeatable) once_only_.push_back("POST " + own);
            slot.target = "POST " + own;
            slot.task.emplace(calls_.send(post));
        } else {
            slot.target = "GET " + own;
            slot.task.emplace(
                pipeline_(sleeper_, [this, url = http_origin + own] { return once_.get(url); }));
        }
        slot.task->start();
    }
    void take(Slot& slot, std::size_t i) {
        const Outcome<HttpResponse> outcome = slot.task->take();
        slot.task.reset();
        for (const std::string& target : once_only_) {
            if (run_.executed[target] > 1) run_.wrong = "a POST without a key was executed twice";
        }
        if (!outcome) return;
        ++run_.answered[i];
        if (outcome->body != slot.target) run_.wrong = "a call got the response of another one";
        if (run_.executed[slot.target] == 0) run_.wrong = "a response without a request";
    }

    sim::Host& host_;
    HttpWorld& run_;
    Sleeper sleeper_;
    WireHttp http_;
    Calls calls_;
    Calls once_;
    CircuitBreaker<sim::Clock> breaker_;
    Bulkhead bulkhead_;
    RateLimiter limiter_;
    HttpPipeline pipeline_;

    std::vector<std::string> once_only_{};
    std::array<Slot, http_callers> slots_{};  // they end before the members that they use
};

bool http_calls_over_few_connections(sim::World& world) {
    HttpWorld& run = world.make<HttpWorld>(world);
    world.host("server", [&run](sim::Host& h) { return std::make_unique<WireServer>(h, run); });
    sim::Host& client =
        world.host("client", [&run](sim::Host& h) { return std::make_unique<HttpCaller>(h, run); });
    for (const char* const mark :
         {"aborted before a dial", "aborted in a dial", "aborted after it was sent", "shared",
          "hedged", "waits for a connection", "breaker open", "host's breaker open"}) {
        world.reachable(mark);
    }
    world.always("the rules of the calls", [&run] { return run.wrong; });
    world.run_for(12s);
    world.heal();
    const auto is_done = [&] {
        const auto* const process = client.process<HttpCaller>();
        return process != nullptr && process->is_done();
    };
    if (!world.eventually("every caller has its responses", 90s, is_done)) return false;
    return world.require("nothing is left behind", client.process<HttpCaller>()->left_behind());
}

}  // namespace

TEST_CASE("HttpCalls leaves nothing behind when hedged and shared requests are aborted",
          "[worlds][http_calls][sim][property]") {
    const auto options = world_options({.pauses = 3,
                                        .partitions = 3,
                                        .latencies = 4,
                                        .early_closes = 4,
                                        .drops = 4,
                                        .within = 11s,
                                        .lasts_max = 4s});
    CHECK(explored_as_wanted("http_calls", options, http_calls_over_few_connections));
}
