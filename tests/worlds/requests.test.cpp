// SPDX-License-Identifier: MIT
// Goal: connections with questions share a breaker, each accepted question is completed once, by
// its deadline, with its own answer, and all connections answer again soon after the faults end.
// Method: exploration. The server answers late, twice, or never; callers cancel, stop, drain and
// ask inside of `done` and of hooks.
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/link/requests.hpp>
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

constexpr std::size_t question_askers = 3;

/// A question is "<id>:<text>", and its answer repeats it.
struct QuestionIds {
    static void put_id(Bytes& message, std::uint64_t id) {
        message = to_bytes(std::to_string(id) + ":" + std::string{as_text(message)});
    }
    [[nodiscard]] static std::optional<std::uint64_t> id_of(const Bytes& message) {
        return std::stoull(std::string{as_text(message)});
    }
};

/// The observations of the test, which outlive the processes.
struct QuestionWorld {
    explicit QuestionWorld(sim::World& w) : world{w} {}

    sim::World& world;
    std::string wrong{};
};

class QuestionServer {
    struct Peer;
    struct Guest {
        QuestionServer* server;
        std::weak_ptr<Peer> peer{};
        void on_message(auto&, const Bytes& question) { server->answer(peer, question); }
    };
    struct Peer {
        Peer(sim::Accepted connection, QuestionServer* server)
            : link{std::move(connection), MaxAttempts{1}, SupervisorOptions{}, Guest{server}} {}
        Supervisor<sim::Accepted, MaxAttempts, Guest> link;
    };

public:
    QuestionServer(sim::Host& host, QuestionWorld& run) : host_{host}, run_{run} {
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
    void answer(const std::weak_ptr<Peer>& to, const Bytes& question) {
        const bool is_well = run_.world.healed_at().has_value();
        if (!is_well && host_.chance("never answers", 10)) return;
        const std::size_t times = !is_well && host_.chance("twice", 10) ? 2 : 1;
        for (std::size_t i = 0; i < times; ++i) {
            const Duration late = 50ms * (is_well ? 0 : host_.choose("late by", 20));
            host_.after(late, [to, question] {
                const auto peer = to.lock();
                if (peer) static_cast<void>(peer->link.send(question));
            });
        }
    }

    sim::Host& host_;
    QuestionWorld& run_;
    std::vector<std::shared_ptr<Peer>> peers_{};
};

using QuestionBreaker = CircuitBreaker<sim::Clock>;

auto question_policy(QuestionBreaker& breaker) {
    return Policy{Backoff{EqualJitter{}, Cap{1s}, 100ms}, Shared{breaker}, ResetWhenStable{1s},
                  AttemptTimeout{2s}};
}
using QuestionPolicy = decltype(question_policy(std::declval<QuestionBreaker&>()));

class QuestionClient {
    struct Watch {
        QuestionClient* client;
        std::size_t asker;
        void on_state(auto&, const Transition& change) {
            // So that the connection shows at once whether its peer answers.
            if (change.to.state == LinkState::connected) client->ask(asker);
        }
        void on_unmatched(auto&, const Bytes&) { client->run_.world.reach("unmatched"); }
    };
    using Asking = Requests<sim::Tcp, QuestionPolicy, QuestionIds, Watch>;
    struct Open {
        Instant deadline;
        std::size_t asker;
        std::uint64_t id;
    };

public:
    QuestionClient(sim::Host& host, QuestionWorld& run)
        : host_{host}, run_{run}, breaker_{ConsecutiveFailures{4}, OpenFor{1s}, run.world.clock()} {
        for (std::size_t i = 0; i < question_askers; ++i) {
            asking_[i] = std::make_unique<Asking>(
                sim::Tcp{host, "server", 1}, question_policy(breaker_), QuestionIds{},
                RequestsOptions{.in_flight_max = 4, .waiting_max = 4}, Watch{this, i});
            host.attach(*asking_[i]);
            asking_[i]->start();
        }
        work();
    }
    /// Returns whether each asker has had an answer since the faults ended.
    [[nodiscard]] bool is_done() const {
        for (const Instant at : answered_at_) {
            if (at == always || at < *run_.world.healed_at()) return false;
        }
        return breaker_.state() == BreakerState::closed;
    }

private:
    void work() {
        host_.after(50ms, [this] { work(); });
        if (breaker_.state() == BreakerState::open) run_.world.reach("breaker open");
        std::array<std::size_t, question_askers> open{};
        for (const auto& [text, question] : open_) {
            ++open[question.asker];
            if (host_.now() > after(question.deadline, 1ms)) run_.wrong = "a question is too old";
        }
        for (std::size_t i = 0; i < question_askers; ++i) {
            const RequestsStatus now = asking_[i]->status();
            if (now.answered + now.timed_out + now.lost + now.cancelled + open[i] != now.asked) {
                run_.wrong = "the numbers of the questions contradict each other";
            }
            if (host_.chance("asks", 30)) ask(i);
            if (!run_.world.healed_at()) command(i);
        }
        if (run_.world.healed_at()) {
            for (const auto& asking : asking_) asking->start();
        }
    }
    void command(std::size_t i) {
        switch (host_.choose("command", 60)) {
            case 0:
                return asking_[i]->stop();
            case 1:
                return asking_[i]->drain(300ms);
            case 2:
                static_cast<void>(asking_[i]->reconnect_now(true));
                return;
            case 3:
                return asking_[i]->report_unhealthy();
            case 4:
            case 5:
            case 6:
                return cancel(i);
            case 7:
            case 8:
            case 9:
                return asking_[i]->start();
            default:
                return;
        }
    }
    void cancel(std::size_t i) {
        for (const auto& [text, question] : open_) {
            if (question.asker != i) continue;
            run_.world.reach("cancelled");
            static_cast<void>(asking_[i]->cancel(question.id));
            return;
        }
    }
    void ask(std::size_t i) {
        const std::string text = "q" + std::to_string(++asked_);
        const Duration within = 100ms * (1 + host_.choose("within", 30));
        const auto loss =
            host_.chance("again", 50) ? RequestsOptions::send_again : RequestsOptions::fail;
        const auto asked = asking_[i]->ask(
            to_bytes(text), within,
            [this, text](const Result<Bytes, Failure>& answer) { complete(text, answer); }, loss);
        if (asked) open_[text] = {after(host_.now(), within), i, *asked};
    }
    void complete(const std::string& text, const Result<Bytes, Failure>& answer) {
        const auto found = open_.find(text);
        if (found == open_.end()) {
            run_.wrong = "a question was completed twice";
            return;
        }
        const std::size_t i = found->second.asker;
        if (host_.now() > found->second.deadline) run_.wrong = "a question was completed late";
        open_.erase(found);
        if (host_.chance("asks inside of done", 10)) ask(i);
        if (!answer) return;
        answered_at_[i] = host_.now();
        if (!as_text(*answer).ends_with(":" + text)) run_.wrong = "an answer of another question";
    }

    sim::Host& host_;
    QuestionWorld& run_;
    QuestionBreaker breaker_;
    int asked_ = 0;
    std::map<std::string, Open> open_{};
    std::array<Instant, question_askers> answered_at_{always, always, always};
    std::array<std::unique_ptr<Asking>, question_askers> asking_{};
};

bool questions_with_a_breaker(sim::World& world) {
    QuestionWorld& run = world.make<QuestionWorld>(world);
    world.host("server", [&run](sim::Host& h) { return std::make_unique<QuestionServer>(h, run); });
    sim::Host& client = world.host(
        "client", [&run](sim::Host& h) { return std::make_unique<QuestionClient>(h, run); });
    for (const char* const mark : {"breaker open", "unmatched", "cancelled"}) world.reachable(mark);
    world.always("the rules of the questions", [&run] { return run.wrong; });
    world.run_for(15s);
    world.heal();
    return world.eventually("every connection answers, and the breaker is closed", 20s, [&] {
        const auto* const process = client.process<QuestionClient>();
        return process != nullptr && process->is_done();
    });
}

}  // namespace

TEST_CASE("Requests with a shared breaker completes each question once, and answers after faults",
          "[worlds][requests][sim][property]") {
    // A process that is frozen completes its questions late.
    const auto options = world_options({.pauses = 0,
                                        .partitions = 4,
                                        .latencies = 4,
                                        .early_closes = 4,
                                        .drops = 4,
                                        .within = 14s,
                                        .lasts_max = 5s});
    CHECK(explored_as_wanted("requests", options, questions_with_a_breaker));
}
