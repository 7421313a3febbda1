// SPDX-License-Identifier: MIT
// Goal: calls through a whole Pipeline over a Pool release all permits and leases when they are
// cancelled, and all succeed soon after the faults end. Method: exploration. Callers hedge, wait in
// queues, and are destroyed at any time. Operators change the pool and the limits, also inside of
// hooks.
#include <algorithm>
#include <array>
#include <coroutine>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
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
#include <belay/call/pipeline_task.hpp>
#include <belay/call/task.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/fleet/pool.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t callers = 8;
constexpr std::size_t connections_wanted = 4;
constexpr std::uint32_t calls_limit = 3;
constexpr int calls_of_each = 10;

using CallBreaker = CircuitBreaker<sim::Clock>;

auto dial_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{1s}, 200ms}, ResetWhenStable{1s}, AttemptTimeout{2s}};
}

/// The breaker is outside of the queues, so that a probe may wait in them, or be cancelled there.
auto call_pipeline(CallBreaker& breaker, Bulkhead& bulkhead, RateLimiter& limiter) {
    return Pipeline{
        Timeout{8s},     Retrying{Policy{Backoff{EqualJitter{}, Cap{1s}, 100ms}, MaxAttempts{3}}},
        Shared{breaker}, Queued{bulkhead},
        Queued{limiter}, Timeout{2s},
        Hedge{300ms, 2}};
}
using CallPipeline = decltype(call_pipeline(std::declval<CallBreaker&>(), std::declval<Bulkhead&>(),
                                            std::declval<RateLimiter&>()));

/// The observations of the test, which outlive the processes.
struct CallWorld {
    explicit CallWorld(sim::World& w) : world{w} {}

    sim::World& world;
    std::string wrong{};
    std::array<int, callers> answered{};
};

/// Sends each message back.
class CallServer {
    struct Echo {
        void on_message(auto& link, const Bytes& message) { static_cast<void>(link.send(message)); }
    };
    using Served = Supervisor<sim::Accepted, MaxAttempts, Echo>;

public:
    explicit CallServer(sim::Host& host) {
        host.listen(1, [this, &host](sim::Accepted connection) {
            std::erase_if(served_,
                          [](const auto& s) { return s->status().state == LinkState::failed; });
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1},
                                                       SupervisorOptions{}, Echo{}));
            host.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    std::vector<std::unique_ptr<Served>> served_{};
};

class CallClient {
    using Sleeper = LoopSleeper<sim::Host>;
    struct Watch {
        CallClient* client;
        void on_state(std::size_t, const Transition&) { client->on_state(); }
        void on_message(std::size_t, const Bytes& m) { client->on_message(m); }
        void on_idle() { client->on_idle(); }
    };
    using Connections = Pool<Heartbeat<sim::Tcp>, decltype(dial_policy()), Watch>;

    /// A request of a call, which waits for a connection or for its answer.
    struct Question {
        Question(CallClient& client, std::uint64_t n) : owner{client}, number{n} {
            owner.questions_.push_back(this);
        }
        Question(const Question&) = delete;
        Question& operator=(const Question&) = delete;
        ~Question() { std::erase(owner.questions_, this); }

        [[nodiscard]] bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) noexcept { waiter = handle; }
        void await_resume() const noexcept {}
        void resume() { std::exchange(waiter, nullptr).resume(); }

        CallClient& owner;
        std::uint64_t number;
        Connections::Lease lease{};
        bool sent = false;
        bool answered = false;
        std::coroutine_handle<> waiter{};
    };

public:
    CallClient(sim::Host& host, CallWorld& run)
        : host_{host},
          run_{run},
          sleeper_{host},
          breaker_{ConsecutiveFailures{4}, OpenFor{1s}, run.world.clock()},
          bulkhead_{{.limit = calls_limit, .queue = callers}},
          limiter_{Rate{20, 1s}, Burst{5}, callers},
          connections_{{sim::Tcp{host, "server", 1}, {.every = 1s, .dead_after = 2500ms}},
                       dial_policy(),
                       {.size = connections_wanted},
                       Watch{this}},
          pipeline_{call_pipeline(breaker_, bulkhead_, limiter_)} {
        host.attach(connections_);
        connections_.start();
        work();
        operate();
    }
    [[nodiscard]] bool is_done() const {
        const auto enough = [](int count) { return count >= calls_of_each; };
        return std::ranges::all_of(run_.answered, enough) &&
               connections_.status().connected == connections_wanted;
    }
    /// Returns what is not released, although all calls have ended.
    [[nodiscard]] std::string left_behind() const {
        if (!questions_.empty()) return "a call";
        if (connections_.status().leased != 0) return "a lease";
        if (bulkhead_.running() != 0) return "a permit of the bulkhead";
        if (bulkhead_.waiting() + limiter_.waiting() != 0) return "a caller in a queue";
        if (breaker_.state() == BreakerState::open) return "an open breaker";
        return {};
    }

private:
    auto call() {
        return pipeline_(sleeper_, [this](const Attempt& attempt) { return ask(attempt); });
    }
    using Call = Task<Result<int>>;

    Task<Result<int>> ask(Attempt attempt) {
        if (attempt.number > 1) run_.world.reach("further call");
        Question question{*this, ++asked_};
        for (;;) {
            question.lease = connections_.acquire();
            if (question.lease) break;
            run_.world.reach("waits for a connection");
            co_await question;
        }
        question.sent = true;
        static_cast<void>(question.lease.send(to_bytes(std::to_string(question.number))));
        co_await question;
        if (!question.answered) co_return std::make_error_code(std::errc::connection_reset);
        co_return 1;
    }

    void work() {
        host_.after(100ms, [this] { work(); });
        const PoolStatus now = connections_.status();
        if (now.leased + now.suspect + now.idle != now.connected) {
            run_.wrong = "the numbers of the pool contradict each other";
        }
        if (now.leased > questions_.size()) run_.wrong = "a lease has no borrower";
        const auto is_stale = [](const Question* q) { return q->waiter && q->sent && !q->lease; };
        if (std::ranges::any_of(questions_, is_stale)) {
            run_.wrong = "a lease ended, and its connection did not";
        }
        if (bulkhead_.running() > calls_limit) run_.wrong = "too many calls at a time";
        if (breaker_.state() == BreakerState::open) run_.world.reach("breaker open");
        if (bulkhead_.waiting() != 0) run_.world.reach("waits for the bulkhead");
        for (std::size_t i = 0; i < callers; ++i) look(i);
    }
    void look(std::size_t i) {
        auto& task = calls_[i];
        if (task && task->done()) {
            if (task->take()) ++run_.answered[i];
            task.reset();
        }
        if (task && !run_.world.healed_at() && host_.chance("is cancelled", 3)) {
            run_.world.reach("cancelled");
            task.reset();
        }
        if (!task && run_.answered[i] < calls_of_each && host_.chance("begins", 40)) {
            task.emplace(call());
            task->start();
        }
    }
    void operate() {
        if (run_.world.healed_at()) {
            bulkhead_.set_limit(calls_limit);
            limiter_.set_rate(host_.now(), Rate{20, 1s}, Burst{5});
            isolation_.reset();
            connections_.resize(connections_wanted);
            connections_.start();
            return;
        }
        host_.after(400ms, [this] { operate(); });
        if (host_.chance("inside of a hook", 50)) {
            waits_for_hook_ = true;
        } else {
            command();
        }
    }
    void command() {
        if (run_.world.healed_at()) return;
        switch (host_.choose("command", 12)) {
            case 0:
                connections_.resize(1 + host_.choose("size", connections_wanted));
                return resume_stale();
            case 1:
                connections_.stop();
                host_.after(600ms, [this] { connections_.start(); });
                return;
            case 2:
                connections_.stop();
                return connections_.start();
            case 3:
                return connections_.reconnect_now();
            case 4:
                return bulkhead_.set_limit(
                    1 + static_cast<std::uint32_t>(host_.choose("limit", calls_limit)));
            case 5:
                limiter_.set_rate(host_.now(), Rate{1 + host_.choose("rate", 40), 1s}, Burst{5});
                return;
            case 6:
                isolation_.emplace(breaker_.isolate());
                host_.after(500ms, [this] { isolation_.reset(); });
                return;
            default:
                return;
        }
    }
    void in_hook() {
        if (std::exchange(waits_for_hook_, false)) command();
    }
    /// Resumes each request for which this is true now, if it still waits then.
    template <class F>
    void resume_each(F is_due) {
        std::vector<std::uint64_t> due;
        for (const Question* const q : questions_) {
            if (q->waiter && is_due(*q)) due.push_back(q->number);
        }
        for (const std::uint64_t number : due) {
            const auto found = std::ranges::find(questions_, number, &Question::number);
            if (found != questions_.end() && (*found)->waiter) (*found)->resume();
        }
    }
    void resume_stale() {
        resume_each([](const Question& q) { return q.sent && !q.lease; });
    }
    void on_state() {
        in_hook();
        resume_stale();
    }
    void on_idle() {
        in_hook();
        resume_each([](const Question& q) { return !q.sent; });
    }
    void on_message(const Bytes& message) {
        in_hook();
        const std::uint64_t number = std::stoull(std::string{as_text(message)});
        for (Question* const q : questions_) q->answered |= q->number == number;
        // The calls of the other requests have ended already.
        resume_each([](const Question& q) { return q.answered; });
    }

    sim::Host& host_;
    CallWorld& run_;
    Sleeper sleeper_;
    bool waits_for_hook_ = false;
    std::uint64_t asked_ = 0;
    std::vector<Question*> questions_{};
    CallBreaker breaker_;
    std::optional<CallBreaker::Isolation> isolation_{};
    Bulkhead bulkhead_;
    RateLimiter limiter_;
    Connections connections_;
    CallPipeline pipeline_;
    std::array<std::optional<Call>, callers> calls_{};  // they end before the members that they use
};

bool calls_over_a_pool(sim::World& world) {
    CallWorld& run = world.make<CallWorld>(world);
    world.host("server", [](sim::Host& h) { return std::make_unique<CallServer>(h); });
    sim::Host& client =
        world.host("client", [&run](sim::Host& h) { return std::make_unique<CallClient>(h, run); });
    for (const char* const mark : {"further call", "waits for a connection", "breaker open",
                                   "waits for the bulkhead", "cancelled"}) {
        world.reachable(mark);
    }
    world.always("the rules of the parts", [&run] { return run.wrong; });
    world.run_for(12s);
    world.heal();
    const auto is_done = [&] {
        const auto* const process = client.process<CallClient>();
        return process != nullptr && process->is_done();
    };
    if (!world.eventually("every caller has its answers, and the pool is whole", 60s, is_done)) {
        return false;
    }
    // By then, calls that had begun further calls have ended.
    world.run_for(10s);
    return world.require("nothing is left behind", client.process<CallClient>()->left_behind());
}

}  // namespace

TEST_CASE(
    "Calls through a Pipeline over a Pool return every permit and lease when they are cancelled",
    "[worlds][calls][sim][property]") {
    const auto options = world_options({.pauses = 3,
                                        .partitions = 3,
                                        .latencies = 4,
                                        .early_closes = 2,
                                        .drops = 4,
                                        .within = 11s,
                                        .lasts_max = 6s});
    CHECK(explored_as_wanted("calls", options, calls_over_a_pool));
}
