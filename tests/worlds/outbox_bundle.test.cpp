// SPDX-License-Identifier: MIT
// Goal: an Outbox over a Bundle of three lanes with a Heartbeat each keeps its promise, delivers
// the messages of the other lanes in order, and dials no more often than its policy allows, while
// its disk is full, or its files cannot be opened. Method: exploration of both promises.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/outbox.hpp>
#include <belay/sim/accepted.hpp>

#include "support/worlds/denied_disk.hpp"
#include "support/worlds/explored.hpp"
#include "support/worlds/watched_tcp.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr int letters = 50;

/// The times and limits of one world.
struct LetterTimes {
    explicit LetterTimes(sim::World& w) {
        const auto one_of = [&w](std::string_view tag, auto... values) {
            return std::array{values...}[w.choose(tag, sizeof...(values))];
        };
        every = one_of("every", 200ms, 500ms, 2000ms);
        dead_after = every * one_of("dead after", 2, 3, 5) + 100ms;
        stable = one_of("stable", 500ms, 4000ms);
        messages_max = one_of("messages", std::size_t{4}, std::size_t{64});
        in_flight_max = one_of("in flight", std::size_t{1}, std::size_t{7}, std::size_t{256});
        feed = one_of("feed", 1, 120);
        pause = one_of("pause", 60ms, 300ms);
        promise = one_of("promise", OutboxOptions::at_most_once, OutboxOptions::at_least_once);
    }

    std::chrono::milliseconds every{};
    std::chrono::milliseconds dead_after{};
    std::chrono::milliseconds stable{};
    std::size_t messages_max = 0;
    std::size_t in_flight_max = 0;
    int feed = 0;  ///< the messages that each of the other lanes sends when it opens
    std::chrono::milliseconds pause{};
    OutboxOptions::Promise promise{};
};

auto letter_policy(const LetterTimes& times) {
    return Policy{Backoff{EqualJitter{}, Cap{2s}, 200ms}, ResetWhenStable{times.stable},
                  AttemptTimeout{4s}};
}

/// A letter that the server has received.
struct Letter {
    int number;
    std::uint64_t connection;
};

/// The observations of the test, which outlive the processes.
struct LetterWorld {
    explicit LetterWorld(sim::World& w)
        : world{w}, times{w}, disk{w}, history{w.clock()}, other_dials{w.clock()} {}

    sim::World& world;
    LetterTimes times;
    DeniedDisk disk;
    sim::History history;      ///< the dials of lane 0
    sim::History other_dials;  ///< the dials of the other lanes
    std::string wrong{};
    /// Letters that were pushed, whether they were accepted or not.
    int written = 0;
    std::vector<int> accepted{};     ///< letters that were accepted, and are durable
    std::vector<Letter> received{};  ///< letters that the server has received
    std::uint64_t connections = 0;   ///< that the server has accepted
    std::uint32_t starts = 0;
};

/// Answers each message, or sends numbers that begin at 0 to each client that connects.
class LaneServer {
    struct App {
        LetterWorld* run;
        int feed;
        std::uint64_t connection;
        int sent = 0;
        void on_state(auto& link, const Transition&) { send(link); }
        void on_writable(auto& link, Lane) { send(link); }
        void on_message(auto& link, const Bytes& message) {
            run->received.push_back({std::stoi(std::string{as_text(message)}), connection});
            static_cast<void>(link.send(message));
        }
        void send(auto& link) {
            while (sent < feed && link.send(std::to_string(sent)) == SendResult::sent) ++sent;
        }
    };
    using Served = Supervisor<sim::Accepted, MaxAttempts, App>;

public:
    LaneServer(sim::Host& host, LetterWorld& run, int feed) {
        host.listen(1, [this, &host, &run, feed](sim::Accepted connection) {
            std::erase_if(served_,
                          [](const auto& s) { return s->status().state == LinkState::failed; });
            served_.push_back(std::make_unique<Served>(std::move(connection), MaxAttempts{1},
                                                       App{&run, feed, ++run.connections}));
            host.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    std::vector<std::unique_ptr<Served>> served_{};
};

class LetterClient {
    using Log = Journal<DeniedDisk>;
    using Beating = Heartbeat<WatchedTcp>;
    using Lanes = Bundle<Beating, Beating, Beating>;
    using Box = Outbox<Lanes, decltype(letter_policy(std::declval<LetterTimes>())), Queue<Log>,
                       std::reference_wrapper<LetterClient>>;

public:
    LetterClient(sim::Host& host, LetterWorld& run)
        : host_{host},
          run_{run},
          record_{&run.history, "client " + std::to_string(++run.starts)},
          other_{&run.other_dials, "other"} {
        auto log =
            Log::open(run.disk.over(host.disk()), "outbox",
                      {.segment_bytes = 4096,
                       .record_bytes_max = 512,
                       // Every other start, so that both are explored.
                       .after_failure = run.starts % 2 == 0 ? JournalOptions::AfterFailure::reopens
                                                            : JournalOptions::AfterFailure::stops,
                       .seed = Seed{run.world.bits()()}});
        if (!log) {
            exit_and_restart(run.world, host);
            return;
        }
        // Letters that were written and not flushed may be lost or not.
        const LetterTimes& t = run.times;
        box_.emplace(Lanes{beating("a", record_), beating("b", other_), beating("c", other_)},
                     letter_policy(t), Queue{std::move(*log)},
                     OutboxOptions{.promise = t.promise,
                                   .in_flight_max = t.in_flight_max,
                                   .link = {.messages_max = t.messages_max}},
                     std::ref(*this));
        host.attach(*box_);
        box_->start();
        work();
    }
    void on_state(const Transition& change) {
        const LinkStatus& now = change.to;
        const bool waits = now.state == LinkState::cooldown || now.state == LinkState::suspended;
        record_.not_before = waits ? now.retry_at : always;
        if (record_.early_dials != 0) run_.wrong = "a dial before the end of the wait";
        if (now.state == LinkState::connected) next_ = {};
        const std::error_code error = now.failure.error();
        if (error == std::errc::too_many_files_open) run_.world.reach("no descriptors");
        if (error == std::errc::permission_denied) run_.world.reach("no permission");
        if (error == std::errc::no_space_on_device) run_.world.reach("no space");
        if (error == LinkErrc::heartbeat_lost) run_.world.reach("heartbeat lost");
        if (now.state != LinkState::failed) return;
        if (!box_->queue().storage().failed()) {
            run_.wrong =
                "the link has failed, and the journal has lost nothing: " + now.failure.message();
            return;
        }
        run_.world.reach("journal failed");
        exit_and_restart(run_.world, host_);
    }
    void on_message(const Bytes& message, Lane lane) {
        const int number = std::stoi(std::string{as_text(message)});
        if (lane == 0) {
            if (run_.times.promise == OutboxOptions::at_most_once) return;
            const std::error_code error = box_->acknowledge();
            if (error == SessionErrc::not_sent) run_.wrong = "an answer without a letter";
            return;
        }
        if (number != next_[lane]) run_.wrong = "another message on lane " + std::to_string(lane);
        ++next_[lane];
    }
    void on_sent(std::uint64_t, const Bytes& message) {
        const int number = std::stoi(std::string{as_text(message)});
        // The letter is durable, and so are those before it.
        while (!unflushed_.empty() && unflushed_.front() <= number) accept_first();
    }
    [[nodiscard]] bool is_done() const {
        const int feed = run_.times.feed;
        return box_ && run_.written == letters && box_->depth() == 0 &&
               box_->status().link.state == LinkState::connected && next_[1] == feed &&
               next_[2] == feed;
    }

private:
    [[nodiscard]] Beating beating(const char* peer, ConnectionRecord& record) const {
        return {WatchedTcp{host_, record, peer},
                {.every = run_.times.every, .dead_after = run_.times.dead_after}};
    }
    void work() {
        host_.after(run_.times.pause, [this] { work(); });
        if (run_.written == letters) return;
        const std::string text = std::to_string(++run_.written) + std::string(300, ' ');
        if (!box_->push(text)) unflushed_.push_back(run_.written);
        if (host_.chance("a flush", 30) && !box_->commit()) {
            while (!unflushed_.empty()) accept_first();
        }
    }
    void accept_first() {
        run_.accepted.push_back(unflushed_.front());
        unflushed_.erase(unflushed_.begin());
    }

    sim::Host& host_;
    LetterWorld& run_;
    ConnectionRecord record_;  // of lane 0
    ConnectionRecord other_;
    std::vector<int> unflushed_{};
    std::array<int, 3> next_{};
    std::optional<Box> box_{};
};

/// Returns what is wrong with the letters that the server has received; nothing if the promise was
/// kept. A connection that the client has closed may deliver letters after the next connection has.
/// The letters that are sent again on the next one arrive in order all the same.
std::string verdict(const LetterWorld& run) {
    const bool most_once = run.times.promise == OutboxOptions::at_most_once;
    std::vector<bool> seen(letters + 1);
    std::map<std::uint64_t, int> last;
    for (const auto& [number, connection] : run.received) {
        const auto at = static_cast<std::size_t>(number);
        if (seen[at] && most_once) return "twice: " + std::to_string(number);
        int& before = last[most_once ? connection : 0];
        if (!seen[at] && number < before) return "out of order: " + std::to_string(number);
        before = std::max(before, number);
        seen[at] = true;
    }
    if (most_once) return {};
    for (const int number : run.accepted) {
        if (!seen[static_cast<std::size_t>(number)]) return "lost: " + std::to_string(number);
    }
    return {};
}

bool outbox_over_bundle(sim::World& world) {
    LetterWorld& run = world.make<LetterWorld>(world);
    if (world.chance("denials", 60)) run.disk.deny_at_times(12s);
    sim::Host& client = world.host(
        "client", [&run](sim::Host& h) { return std::make_unique<LetterClient>(h, run); });
    for (const char* const name : {"a", "b", "c"}) {
        const int feed = *name == 'a' ? 0 : run.times.feed;
        world.host(name, [&run, feed](sim::Host& h) {
            return std::make_unique<LaneServer>(h, run, feed);
        });
    }
    fill_disk_at_times(world, "client", 12'000);
    fill_disk_at_times(world, "client", 12'000);
    for (const char* const mark :
         {"no descriptors", "no permission", "no space", "journal failed", "heartbeat lost"}) {
        world.reachable(mark);
    }
    world.always("the rules of the parts", [&run] { return run.wrong; });
    world.always("bounded rate of dials", [&run] { return sim::dial_rate(run.history, 12, 5s); });
    world.run_for(16s);
    world.heal();
    run.disk.end();
    if (!world.eventually("all letters are done, and all lanes are open", 20s, [&] {
            const auto* const process = client.process<LetterClient>();
            return process != nullptr && process->is_done();
        })) {
        return false;
    }
    return world.require("the promise", verdict(run));
}

}  // namespace

TEST_CASE("Outbox over a Bundle keeps its promise while its disk is full or denied",
          "[worlds][outbox_bundle][sim][property]") {
    const auto options = world_options({.slow_readers = 1,
                                        .half_opens = 2,
                                        .disk_errors = 1,
                                        .late_disk_errors = 1,
                                        .exhaustions = 2,
                                        .within = 12s,
                                        .lasts_max = 4s,
                                        .number_max = 16});
    CHECK(explored_as_wanted("outbox_bundle", options, outbox_over_bundle));
}
