// SPDX-License-Identifier: MIT
// Goal: a Bundle whose servers send at once, and open at different times, delivers the messages of
// each lane from the first on, in order and without a gap, and is open soon after each fault.
// Method: exploration. Three lanes with a Heartbeat each, a check around them, and few places for
// messages.
#include <belay/link/bundle.hpp>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/validated.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

#include "support/worlds/explored.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The observations of the test, which outlive the processes.
struct LaneWorld {
    explicit LaneWorld(sim::World& w) : world{w} {
        messages_max = w.chance("few places", 50) ? 4 : 32;
        checked = w.chance("checked", 50);
        for (int& length : lengths) length = w.chance("long", 50) ? 120 : 1;
    }

    sim::World& world;
    std::string wrong{};
    std::size_t messages_max = 0;
    bool checked = false;
    std::array<int, 3> lengths{};  ///< the number of messages that each server sends
};

/// Sends its numbers, which begin at 0, to each client that connects.
class FeedServer {
    struct Feed {
        int length;
        int sent = 0;
        void on_state(auto& link, const Transition&) { send(link); }
        void on_writable(auto& link, Lane) { send(link); }
        void send(auto& link) {
            while (sent < length && link.send(std::to_string(sent)) == SendResult::sent) ++sent;
        }
    };
    using Served = Supervisor<sim::Accepted, MaxAttempts, Feed>;

public:
    FeedServer(sim::Host& host, Duration starts_after, int length) {
        host.after(starts_after, [this, &host, length] {
            host.listen(1, [this, &host, length](sim::Accepted connection) {
                std::erase_if(served_,
                              [](const auto& s) { return s->status().state == LinkState::failed; });
                served_.push_back(
                    std::make_unique<Served>(std::move(connection), MaxAttempts{1}, Feed{length}));
                host.attach(*served_.back());
                served_.back()->start();
            });
        });
    }

private:
    std::vector<std::unique_ptr<Served>> served_{};
};

/// A check that passes at once, or with the first message of the last lane. It leaves the messages
/// of the others.
struct LastLaneCheck {
    bool needed = false;
    Verdict begin(const auto&) { return needed ? Verdict::pending() : Verdict::passed(); }
    Verdict judge(const Bytes&, const auto& say) {
        return needed && say.lane() == 2 ? Verdict::passed() : Verdict::deferred();
    }
};

auto lanes_policy() {
    return Policy{Backoff{EqualJitter{}, Cap{1s}, 100ms}, ResetWhenStable{1s}, AttemptTimeout{4s}};
}

class LanesClient {
    using Beating = Heartbeat<sim::Tcp>;
    using Lanes = Validated<Bundle<Beating, Beating, Beating>, LastLaneCheck>;

public:
    LanesClient(sim::Host& host, LaneWorld& run)
        : host_{host},
          run_{run},
          link_{Lanes{Bundle{beating("a"), beating("b"), beating("c")}, LastLaneCheck{run.checked}},
                lanes_policy(),
                {.messages_max = run.messages_max},
                std::ref(*this)} {
        host.attach(link_);
        link_.start();
    }
    void on_state(const Transition& change) {
        if (change.to.state == LinkState::connected) {
            next_ = {};
            if (run_.checked) next_[2] = 1;  // the check has read the first message
        }
        if (change.to.failure.cause == Cause::overloaded) run_.wrong = "too many messages";
    }
    void on_message(const Bytes& message, Lane lane) {
        const std::string text{as_text(message)};
        if (link_.status().state != LinkState::connected) run_.wrong = text + " before it is open";
        if (text != std::to_string(next_[lane])) {
            run_.wrong = text + " instead of " + std::to_string(next_[lane]) + " on lane " +
                         std::to_string(lane);
        }
        ++next_[lane];
    }
    [[nodiscard]] bool is_done() const {
        return link_.status().state == LinkState::connected && next_ == run_.lengths;
    }

private:
    [[nodiscard]] Beating beating(const char* peer) const {
        return {sim::Tcp{host_, peer, 1}, {.every = 500ms, .dead_after = 1500ms}};
    }

    sim::Host& host_;
    LaneWorld& run_;
    std::array<int, 3> next_{};
    Supervisor<Lanes, decltype(lanes_policy()), std::reference_wrapper<LanesClient>> link_;
};

bool lanes_that_open_late(sim::World& world) {
    LaneWorld& run = world.make<LaneWorld>(world);
    sim::Host& client = world.host(
        "client", [&run](sim::Host& h) { return std::make_unique<LanesClient>(h, run); });
    for (std::size_t lane = 0; lane < 3; ++lane) {
        const std::string name(1, static_cast<char>('a' + lane));
        sim::Host& server = world.host(name, [length = run.lengths[lane]](sim::Host& h) {
            const std::chrono::milliseconds late{h.choose("starts after", 500)};
            return std::make_unique<FeedServer>(h, late, length);
        });
        const std::chrono::milliseconds far{world.choose("distance, " + name, 400)};
        world.network().latency(client, server, far, far + 10ms);
        world.network().latency(server, client, far, far + 10ms);
    }
    world.always("the order of each lane", [&run] { return run.wrong; });
    world.run_for(8s);
    world.heal();
    return world.eventually("all lanes are open, and have delivered all", 15s, [&] {
        const auto* const process = client.process<LanesClient>();
        return process != nullptr && process->is_done();
    });
}

}  // namespace

TEST_CASE("Bundle of servers that send at once delivers each lane from the first message on",
          "[worlds][bundle][sim][property]") {
    auto options =
        world_options({.slow_readers = 2, .half_opens = 3, .within = 7s, .lasts_max = 3s});
    options.seeds = 150;
    CHECK(explored_as_wanted("bundle", options, lanes_that_open_late));
}
