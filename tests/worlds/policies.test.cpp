// SPDX-License-Identifier: MIT
// Goal: an AnyPolicy that an operator replaces changes no run that has begun, of a Supervisor or of
// a call, and each new run has the new one. Method: exploration. Callers repeat questions over one
// connection, and are cancelled. An operator replaces both policies at any time.
#include <belay/policy/any_policy.hpp>

#include <algorithm>
#include <array>
#include <coroutine>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/registry.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>
#include <belay/sim/accepted.hpp>

#include "support/worlds/explored.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t askers = 4;
constexpr int answers_of_each = 3;  // after the faults
using AskBreaker = CircuitBreaker<sim::Clock>;

/// The limits of a policy, which show a test the policy of a run.
struct Promise {
    std::uint64_t attempts_max;
    Duration wait_min;
    Duration attempt_limit = forever;
};
constexpr std::size_t patient = 3;  // the policy of both kinds at the end
constexpr std::array<Promise, 4> ask_promises{{{1, 0s}, {4, 300ms}, {1000, 0s}, {8, 100ms, 700ms}}};
constexpr std::array<Promise, 4> line_promises{
    {{2, 400ms}, {1000, 100ms, 500ms}, {6, 0s}, {1000, 200ms, 2s}}};

policies::AnyPolicy ask_policy(std::size_t kind, AskBreaker& breaker) {
    const Shared shared{breaker};
    switch (kind) {
        case 0:
            return policies::AnyPolicy{Policy{MaxAttempts{1}, shared}};
        case 1:
            return policies::AnyPolicy{
                Policy{Backoff{NoJitter{}, Cap{300ms}, 300ms}, MaxAttempts{4}, shared}};
        case 2:
            return policies::AnyPolicy{
                Policy{Backoff{FullJitter{}, Cap{500ms}, 100ms}, MaxElapsed{2s}, shared}};
        default:
            return policies::AnyPolicy{Policy{Backoff{EqualJitter{}, Cap{1s}, 200ms},
                                              MaxAttempts{8}, AttemptTimeout{700ms}, shared}};
    }
}
policies::AnyPolicy line_policy(std::size_t kind) {
    switch (kind) {
        case 0:
            return policies::AnyPolicy{Policy{Backoff{NoJitter{}, Cap{400ms}, 400ms},
                                              ResetWhenStable{1s}, MaxAttempts{2}}};
        case 1:
            return policies::AnyPolicy{Policy{Backoff{EqualJitter{}, Cap{1s}, 200ms},
                                              ResetWhenStable{2s}, AttemptTimeout{500ms}}};
        case 2:
            return policies::AnyPolicy{Policy{Backoff{FullJitter{}, Cap{1s}, 100ms},
                                              ResetWhenStable{500ms}, MaxAttempts{6}}};
        default:
            return policies::AnyPolicy{Policy{Backoff{EqualJitter{}, Cap{1s}, 400ms},
                                              ResetWhenStable{1s}, AttemptTimeout{2s}}};
    }
}

/// The observations of the test, which outlive the processes.
struct PolicyWorld {
    explicit PolicyWorld(sim::World& w) : world{w}, history{w.clock()} {}

    sim::World& world;
    sim::History history;
    std::string wrong_run{};
    std::string wrong_line{};
    std::array<int, askers> answered{};
};

/// Sends each message back.
class AnswerServer {
    struct Echo {
        void on_message(auto& link, const Bytes& message) { static_cast<void>(link.send(message)); }
    };
    using Served = Supervisor<sim::Accepted, MaxAttempts, Echo>;

public:
    explicit AnswerServer(sim::Host& host) {
        host.listen(1, [this, &host](sim::Accepted connection) {
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1},
                                                       SupervisorOptions{}, Echo{}));
            host.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    std::vector<std::unique_ptr<Served>> served_{};
};

class PolicyClient {
    struct Watch {
        PolicyClient* client;
        std::uint64_t made;
        void on_state(const Transition& change) { client->on_state(made, change); }
        void on_message(const Bytes& m) { client->on_message(m); }
    };
    using Line = Supervisor<Heartbeat<WatchedTcp>, policies::AnyPolicy, Watch>;

    /// A request that waits for its answer.
    struct Question {
        Question(PolicyClient& client, std::uint64_t n) : owner{client}, number{n} {
            owner.questions_.push_back(this);
        }
        Question(const Question&) = delete;
        Question& operator=(const Question&) = delete;
        ~Question() { std::erase(owner.questions_, this); }

        [[nodiscard]] bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> handle) noexcept { waiter = handle; }
        void await_resume() const noexcept {}

        PolicyClient& owner;
        std::uint64_t number;
        bool answered = false;
        std::coroutine_handle<> waiter{};
    };
    /// A run of an asker.
    struct Run {
        std::size_t kind = 0;
        bool asks = false;  ///< whether it waits for an answer, and not for its next attempt
        Instant failed_at = always;
    };

public:
    PolicyClient(sim::Host& host, PolicyWorld& run)
        : host_{host},
          run_{run},
          sleeper_{host},
          breaker_{ConsecutiveFailures{5}, OpenFor{500ms}, run.world.clock()} {
        set_asks(host.choose("asks", ask_promises.size()));
        set_line(host.choose("line", line_promises.size()));
        connect();
        work();
        operate();
    }
    [[nodiscard]] bool is_done() const {
        const auto enough = [](int count) { return count >= answers_of_each; };
        return std::ranges::all_of(run_.answered, enough) &&
               line_->status().state == LinkState::connected;
    }

private:
    // ---- the operator --------------------------------------------------------------------------

    void set_asks(std::size_t kind) {
        for (std::size_t i = 0; i < askers; ++i) {
            if (runs_[i] && !runs_[i]->done() && !now_[i].asks && kind != asks_kind_) {
                run_.world.reach("replaced while a call waits");
            }
        }
        asks_kind_ = kind;
        if (registry_.set("asks", ask_policy(kind, breaker_))) run_.wrong_run = "it is not stored";
    }
    void set_line(std::size_t kind) {
        if (line_ && line_->status().state == LinkState::cooldown) {
            run_.world.reach("replaced while the line waits");
        }
        next_line_kind_ = kind;
        if (registry_.set("line", line_policy(kind))) run_.wrong_line = "it is not stored";
    }
    /// Makes the supervisor, which keeps the present policy.
    void connect() {
        line_.reset();
        line_kind_ = next_line_kind_;
        tap_.not_before = always;
        ++made_;
        line_.emplace(Heartbeat{WatchedTcp{host_, tap_, "server"}, {.every = 1s, .dead_after = 2s}},
                      *registry_.find("line"), SupervisorOptions{}, Watch{this, made_});
        host_.attach(*line_);
        line_->start();
    }
    void operate() {
        if (run_.world.healed_at()) {
            set_asks(patient);
            set_line(patient);
            return connect();
        }
        const std::chrono::milliseconds next{100 + host_.choose("operator waits", 1400)};
        host_.after(next, [this] { operate(); });
        const std::size_t what = host_.choose("command", 6);
        if (what <= 3) set_asks(host_.choose("asks", ask_promises.size()));
        if (what >= 3) set_line(host_.choose("line", line_promises.size()));
        if (what == 5) connect();
    }

    // ---- the supervisor ------------------------------------------------------------------------

    void on_state(std::uint64_t made, const Transition& change) {
        const LinkStatus& now = change.to;
        const Promise& promised = line_promises[line_kind_];
        if (line_kind_ != next_line_kind_) run_.world.reach("a line with a former policy");
        const bool waits = now.state == LinkState::cooldown;
        tap_.not_before = waits ? now.retry_at : always;
        if (waits && elapsed(host_.now(), now.retry_at) < promised.wait_min) {
            run_.wrong_line = "a wait is too short";
        }
        if (now.attempt > promised.attempts_max) run_.wrong_line = "it has attempts left";
        if (now.state != LinkState::failed) return;
        run_.world.reach("the line gave up");
        if (promised.attempts_max > 100) run_.wrong_line = "it gave up";
        host_.after(1s, [this, made] {
            if (made == made_) connect();
        });
    }
    void look_at_line() {
        const Instant now = host_.now();
        // After a freeze, the process runs this late.
        const bool on_time = elapsed(std::exchange(looked_at_, now), now) <= 100ms;
        const LinkStatus status = line_->status();
        const bool dials = status.state == LinkState::connecting;
        dials_looks_ = on_time && dials && status.since == dials_since_ ? dials_looks_ + 1 : 0;
        dials_since_ = status.since;
        if (dials_looks_ * 100ms > after_limit(line_promises[line_kind_].attempt_limit)) {
            run_.wrong_line = "an attempt takes longer than its limit";
        }
        if (tap_.early_dials != 0) run_.wrong_line = "a dial before the end of the wait";
    }
    [[nodiscard]] static Duration after_limit(Duration limit) {
        return limit == forever ? limit : limit + 100ms;
    }

    // ---- the callers ---------------------------------------------------------------------------

    void work() {
        host_.after(100ms, [this] { work(); });
        look_at_line();
        for (std::size_t i = 0; i < askers; ++i) look(i);
    }
    void look(std::size_t i) {
        auto& task = runs_[i];
        if (task && task->done()) {
            if (task->take()) {
                if (run_.world.healed_at()) ++run_.answered[i];
            } else {
                run_.world.reach("a call gave up");
            }
            task.reset();
        }
        if (task && !run_.world.healed_at() && host_.chance("is cancelled", 3)) {
            run_.world.reach("a call is cancelled");
            task.reset();
        }
        if (task || run_.answered[i] >= answers_of_each || !host_.chance("begins", 50)) return;
        now_[i] = {.kind = asks_kind_};
        task.emplace(retry(*registry_.find("asks"), sleeper_,
                           [this, i](const Attempt& attempt) { return ask(i, attempt); }));
        task->start();
    }
    Task<Result<int>> ask(std::size_t i, Attempt attempt) {
        Run& run = now_[i];
        const Promise& promised = ask_promises[run.kind];
        if (run.kind != asks_kind_) run_.world.reach("a call with a former policy");
        if (attempt.number > promised.attempts_max) run_.wrong_run = "it has attempts left";
        if (attempt.number > 1 && elapsed(run.failed_at, host_.now()) < promised.wait_min) {
            run_.wrong_run = "a wait is too short";
        }
        const bool is_limited = promised.attempt_limit != forever;
        const Instant limit = is_limited ? after(host_.now(), promised.attempt_limit) : never;
        if (attempt.deadline != limit) run_.wrong_run = "an attempt has another limit";
        run.asks = true;
        Question question{*this, ++asked_};
        if (line_->send(to_bytes(std::to_string(question.number))) == SendResult::sent) {
            const Instant end = std::min(after(host_.now(), 1s), attempt.deadline);
            host_.at(end, [this, number = question.number] { resume(number); });
            co_await question;
        }
        run.asks = false;
        run.failed_at = host_.now();
        if (!question.answered) co_return std::make_error_code(std::errc::connection_reset);
        co_return 1;
    }
    void resume(std::uint64_t number) {
        const auto found = std::ranges::find(questions_, number, &Question::number);
        if (found != questions_.end() && (*found)->waiter) {
            std::exchange((*found)->waiter, nullptr).resume();
        }
    }
    void on_message(const Bytes& message) {
        const std::uint64_t number = std::stoull(std::string{as_text(message)});
        for (Question* const q : questions_) q->answered |= q->number == number;
        resume(number);
    }

    sim::Host& host_;
    PolicyWorld& run_;
    LoopSleeper<sim::Host> sleeper_;
    AskBreaker breaker_;
    policies::Registry<> registry_{};
    std::size_t asks_kind_ = 0;
    std::size_t next_line_kind_ = 0;  ///< of the next supervisor
    std::size_t line_kind_ = 0;       ///< of this one
    std::uint64_t made_ = 0;
    Instant looked_at_ = always;
    Instant dials_since_ = always;
    int dials_looks_ = 0;
    std::uint64_t asked_ = 0;
    ConnectionRecord tap_{.history = &run_.history, .name = "client"};
    std::vector<Question*> questions_{};
    std::optional<Line> line_{};
    std::array<Run, askers> now_{};
    // They end before the members that they use.
    std::array<std::optional<Task<Result<int>>>, askers> runs_{};
};

bool replaced_policies(sim::World& world) {
    PolicyWorld& run = world.make<PolicyWorld>(world);
    world.host("server", [](sim::Host& h) { return std::make_unique<AnswerServer>(h); });
    sim::Host& client = world.host(
        "client", [&run](sim::Host& h) { return std::make_unique<PolicyClient>(h, run); });
    for (const char* const mark : {"replaced while a call waits", "replaced while the line waits",
                                   "a call with a former policy", "a line with a former policy",
                                   "a call gave up", "the line gave up", "a call is cancelled"}) {
        world.reachable(mark);
    }
    world.always("a run keeps its policy", [&run] { return run.wrong_run; });
    world.always("a supervisor keeps its policy", [&run] { return run.wrong_line; });
    world.run_for(10s);
    world.heal();
    return world.eventually("every asker has its answers, and the line is connected", 60s, [&] {
        const auto* const process = client.process<PolicyClient>();
        return process != nullptr && process->is_done();
    });
}

}  // namespace

TEST_CASE("A policy that is replaced changes no run that has begun",
          "[worlds][policies][sim][property]") {
    const auto options = world_options({.pauses = 3,
                                        .partitions = 4,
                                        .latencies = 3,
                                        .early_closes = 2,
                                        .drops = 4,
                                        .within = 9s,
                                        .lasts_max = 4s});
    CHECK(explored_as_wanted("policies", options, replaced_policies));
}
