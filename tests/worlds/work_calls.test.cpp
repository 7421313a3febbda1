// SPDX-License-Identifier: MIT
// Goal: a WorkQueue whose workers make calls through a breaker, retries and timeouts ends each item,
// and no outage makes a dead letter of an item that the peer never had. Method: exploration. The
// peer hangs, crashes and cannot be reached; some items it refuses, and some end it. Workers are
// cancelled, and the process that has the queue crashes in some worlds.
#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/task.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/requests.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/work/work_queue.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t bills = 40;
constexpr std::uint32_t bill_deliveries_max = 4;
constexpr std::size_t clerks = 3;
constexpr Duration bill_lease = 12s;

/// Every tenth bill is refused at each call, and every tenth ends the bank.
constexpr bool is_refused(std::uint64_t bill) { return bill % 10 == 0; }
constexpr bool ends_the_bank(std::uint64_t bill) { return bill % 10 == 5; }

using BillBreaker = CircuitBreaker<sim::Clock>;

auto bank_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{1s}, 200ms}, ResetWhenStable{1s}, AttemptTimeout{2s}};
}
auto bill_pipeline(BillBreaker& breaker) {
    const Policy retries{Backoff{EqualJitter{}, Cap{500ms}, 100ms}, StopOn{Cause::permanent},
                         MaxAttempts{2}};
    return Pipeline{Timeout{5s}, Shared{breaker}, Retrying{retries}, Timeout{1s}};
}
using BillPipeline = decltype(bill_pipeline(std::declval<BillBreaker&>()));

/// The observations of the test, which outlive the processes.
struct BillWorld {
    explicit BillWorld(sim::World& w) : world{w}, crashes{w.chance("the queue crashes", 50)} {}

    sim::World& world;
    const bool crashes;
    std::string wrong{};
    std::uint64_t promised = 0;                  ///< bills up to this number are durable
    std::set<std::uint64_t> paid{};              ///< their ends may be durable
    std::map<std::uint64_t, int> given_up{};     ///< how often a call was made, and has failed
    std::map<std::uint64_t, int> interrupted{};  ///< how often a lease ended in another way
};

/// The first 8 bytes of a message are its id, and the rest is a text.
struct BillIds {
    static void put_id(Bytes& message, std::uint64_t id) noexcept {
        std::memcpy(message.data(), &id, sizeof id);
    }
    static std::optional<std::uint64_t> id_of(const Bytes& message) noexcept {
        std::uint64_t id = 0;
        if (message.size() < sizeof id) return std::nullopt;
        std::memcpy(&id, message.data(), sizeof id);
        return id;
    }
    static Bytes message(const std::string& text) {
        Bytes bytes(sizeof(std::uint64_t));
        const BytesView body = as_bytes(text);
        bytes.insert(bytes.end(), body.begin(), body.end());
        return bytes;
    }
    static std::string text(const Bytes& message) {
        return std::string{as_text(BytesView{message}.subspan(sizeof(std::uint64_t)))};
    }
};

/// Pays the bills.
class Bank {
    struct Serve {
        Bank* bank;
        void on_message(auto& link, const Bytes& message) {
            const std::uint64_t bill = std::stoull(BillIds::text(message));
            if (ends_the_bank(bill)) return bank->world_.restart(bank->host_);
            Bytes reply = BillIds::message(is_refused(bill) ? "no" : "yes");
            BillIds::put_id(reply, *BillIds::id_of(message));
            const std::uint64_t takes = 5 + bank->host_.choose("takes", 400);
            bank->host_.after(std::chrono::milliseconds{takes},
                              [&link, reply] { static_cast<void>(link.send(reply)); });
        }
    };
    using Served = Supervisor<sim::Accepted, MaxAttempts, Serve>;

public:
    Bank(sim::Host& host, sim::World& world) : host_{host}, world_{world} {
        host.listen(1, [this](sim::Accepted connection) {
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1},
                                                       SupervisorOptions{}, Serve{this}));
            host_.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    sim::Host& host_;
    sim::World& world_;
    std::vector<std::unique_ptr<Served>> served_{};
};

/// Owns the queue, and has some clerks who work it off.
class BillOffice {
    using Log = Journal<sim::Disk>;
    struct Watch {
        BillOffice* office;
        void on_dead(const DeadWork& dead) { office->on_dead(dead); }
    };
    using Work = WorkQueue<Log, KeepDead, Watch>;
    using Calls = Requests<Heartbeat<sim::Tcp>, decltype(bank_policy()), BillIds>;
    using Payment = Task<Result<int, Failure>>;
    struct Clerk {
        Lease lease{};
        std::uint64_t bill = 0;
        bool was_sent = false;  ///< a call was made in this delivery
        Instant rests_until = always;
        std::optional<Payment> task{};
    };

public:
    BillOffice(sim::Host& host, BillWorld& run)
        : host_{host},
          run_{run},
          sleeper_{host},
          breaker_{ConsecutiveFailures{3}, OpenFor{2s}, run.world.clock()},
          pipeline_{bill_pipeline(breaker_)},
          calls_{Heartbeat{sim::Tcp{host, "bank", 1}, {.every = 500ms, .dead_after = 1500ms}},
                 bank_policy(), BillIds{}} {
        auto log = Log::open(
            host.disk(), "data/bills",
            {.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{run.world.bits()()}});
        REQUIRE(log);
        WorkOptions options;
        options.lease = bill_lease;
        options.deliveries_max = bill_deliveries_max;
        options.keys = 128;
        options.record_bytes_max = 512;
        options.slack_bytes = 1024;
        auto work = Work::open(std::move(*log), options, moment(), Watch{this});
        REQUIRE(work);
        work_.emplace(std::move(*work));
        host.attach(calls_);
        calls_.start();
        step();
    }
    [[nodiscard]] bool is_done() const { return run_.promised == bills && work_->empty(); }
    /// Returns what is wrong with the ends of the bills.
    [[nodiscard]] std::string judge() {
        std::set<std::uint64_t> dead;
        const std::error_code error =
            work_->for_each_dead([&](const WorkItem& item) { dead.insert(bill_of(item.body)); });
        if (error) return error.message();
        for (std::uint64_t bill = 1; bill <= bills; ++bill) {
            const std::string name = "bill " + std::to_string(bill);
            const bool must_die = is_refused(bill) || ends_the_bank(bill);
            if (must_die && !dead.contains(bill)) return name + " is not dead";
            if (!run_.paid.contains(bill) && !dead.contains(bill)) return name + " is lost";
        }
        return {};
    }

private:
    static std::uint64_t bill_of(BytesView body) { return std::stoull(std::string{as_text(body)}); }
    [[nodiscard]] Moment moment() const {
        return {host_.now(), WallTime{} + 1000h + host_.now().time_since_epoch()};
    }
    void step() {
        host_.after(50ms, [this] { step(); });
        const auto until = static_cast<std::uint64_t>(host_.now().time_since_epoch() / 200ms);
        for (; next_ <= std::min(bills, until); ++next_) {
            const std::string body = std::to_string(next_);
            const auto pushed = work_->push(as_bytes(body), moment(), {.key = body});
            if (!pushed && pushed.error() != QueueErrc::duplicate) run_.wrong = "a push fails";
        }
        for (Clerk& clerk : clerks_) look(clerk);
        if (work_->commit()) run_.wrong = "a commit fails";
        run_.promised = std::max(run_.promised, next_ - 1);
    }
    void look(Clerk& clerk) {
        if (clerk.task && clerk.task->done()) end(clerk);
        if (clerk.task && !run_.world.healed_at() && host_.chance("is cancelled", 1)) {
            run_.world.reach("cancelled");
            clerk.task.reset();
            // The lease ends by itself, or at once.
            ++run_.interrupted[clerk.bill];
            if (host_.chance("returns it", 50)) check(work_->nack(clerk.lease, moment()));
        }
        if (clerk.task || clerk.rests_until > host_.now()) return;
        const auto lease = work_->lease(moment());
        if (!lease) {
            if (lease.error() != QueueErrc::queue_empty) run_.wrong = "a lease fails";
            return;
        }
        clerk.lease = *lease;
        clerk.bill = bill_of(lease->body);
        clerk.was_sent = false;
        if (lease->delivery > bill_deliveries_max) run_.wrong = "a bill is leased too often";
        clerk.task.emplace(
            pipeline_(sleeper_, [this, &clerk](const Attempt&) { return pay(clerk); }));
        clerk.task->start();
    }
    Payment pay(Clerk& clerk) {
        clerk.was_sent = true;
        Bytes message = BillIds::message(std::to_string(clerk.bill));
        auto asking = calls_.ask(std::move(message), 2s);
        const Result<Bytes, Failure> reply = co_await asking;
        if (!reply) co_return Result<int, Failure>::failure(reply.error());
        if (BillIds::text(*reply) == "yes") co_return 1;
        co_return Result<int, Failure>::failure(Failure{.cause = Cause::permanent});
    }
    /// Ends the delivery as docs/how-to/job-queue.md advises.
    void end(Clerk& clerk) {
        const Result<int, Failure> outcome = clerk.task->take();
        clerk.task.reset();
        if (outcome) {
            run_.paid.insert(clerk.bill);
            return check(work_->ack(clerk.lease));
        }
        if (outcome.error().error() == CallErrc::call_rejected) {
            run_.world.reach("rejected");
            if (clerk.was_sent) run_.wrong = "a call that was made counts as rejected";
            const Duration wait = std::clamp<Duration>(outcome.error().retry_after, 100ms, 2s);
            clerk.rests_until = after(host_.now(), wait);
            return check(work_->release(clerk.lease, moment(), wait));
        }
        run_.world.reach("a call failed");
        ++run_.given_up[clerk.bill];
        check(work_->nack(clerk.lease, moment(), 300ms));
    }
    void check(const std::error_code& error) {
        if (error) run_.wrong = "an end fails: " + error.message();
    }
    void on_dead(const DeadWork& dead) {
        const std::uint64_t bill = bill_of(dead.body);
        run_.world.reach("dead letter");
        const int ends = run_.given_up[bill] + run_.interrupted[bill];
        if (!run_.crashes && ends < static_cast<int>(bill_deliveries_max)) {
            run_.wrong = "bill " + std::to_string(bill) + " is dead after " + std::to_string(ends) +
                         " deliveries";
        }
    }

    sim::Host& host_;
    BillWorld& run_;
    LoopSleeper<sim::Host> sleeper_;
    std::uint64_t next_ = 1;
    std::optional<Work> work_{};
    BillBreaker breaker_;
    BillPipeline pipeline_;
    Calls calls_;
    std::array<Clerk, clerks> clerks_{};  // they end before what they use
};

bool bills_through_a_breaker(sim::World& world) {
    BillWorld& run = world.make<BillWorld>(world);
    world.host("bank", [&world](sim::Host& h) { return std::make_unique<Bank>(h, world); });
    sim::Host& office =
        world.host("office", [&run](sim::Host& h) { return std::make_unique<BillOffice>(h, run); });
    for (const char* const mark : {"cancelled", "rejected", "a call failed", "dead letter"}) {
        world.reachable(mark);
    }
    for (int i = 0; run.crashes && i < 3; ++i) {
        const std::chrono::milliseconds when{1000 + world.choose("crashes at", 14'000)};
        world.at(when, [&world, &office] { world.restart(office); });
    }
    world.always("the rules of the parts", [&run] { return run.wrong; });
    world.run_for(16s);
    world.heal();
    const auto is_done = [&] {
        const auto* const process = office.process<BillOffice>();
        return process != nullptr && process->is_done();
    };
    return world.eventually("every bill ends", 120s, is_done) &&
           world.require("every bill is paid or dead", office.process<BillOffice>()->judge());
}

}  // namespace

TEST_CASE("A WorkQueue whose workers share a breaker makes no dead letter that its peer never had",
          "[worlds][work_calls][sim][property]") {
    auto options = world_options({.kills = 0,
                                  .pauses = 2,
                                  .partitions = 3,
                                  .black_holes = 2,
                                  .refusals = 3,
                                  .early_closes = 2,
                                  .drops = 4,
                                  .half_opens = 2,
                                  .cuts = 4,
                                  .within = 15s,
                                  .lasts_max = 6s});
    options.seeds = 100;
    CHECK(explored_as_wanted("work_calls", options, bills_through_a_breaker));
}
