// SPDX-License-Identifier: MIT
// Goal: each hook of a session is called, with and without the machine as first parameter, in every
// form of observer; a wrong form does not compile. Method: the test plays the other end.
#include <belay/session/session.hpp>

#include <belay/core/tee.hpp>
#include <belay/link/link_log.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session/ledger_like.hpp>

#include "support/core/observed_in_every_form.hpp"
#include "support/session/session_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A session with an observer of its own and one of its queue, in any form. It provokes all events.
template <class Observer, class QueueObserver = NoObserver>
struct ObservedSession {
    using Queue = belay::Queue<DiskJournal, Reject, QueueObserver>;
    using S = Session<RawTransport<>, decltype(patient()), Queue, Observer>;

    sim::Disk disk;
    RawLinks lines;
    Duration now{};
    S session;

    explicit ObservedSession(Observer observer, QueueObserver of_queue = QueueObserver())
        : session{RawTransport<>{lines}, patient(),
                  Queue{open_journal(disk), Reject{}, {}, std::move(of_queue)}, options(),
                  std::move(observer)} {
        session.advance(at({}));
    }
    static SessionOptions options() {
        SessionOptions of_session;
        of_session.id = id(1);
        of_session.stalled_after = 2s;
        return of_session;
    }
    void run(Duration to) {
        now = to;
        for (int i = 0; i < 1000 && session.deadline() <= at(now); ++i) session.advance(at(now));
        REQUIRE(session.deadline() > at(now));
    }
    void receive(Bytes message) {
        lines.back()->say(std::move(message));
        run(now);
    }
    void send(std::string_view text) {
        REQUIRE(session.send(as_bytes(text)).has_value());
        run(now);
    }
    session_format::Welcome welcome() const {
        return {.attach = (std::uint64_t{1} << 32U) + lines.size(),
                .payload_bytes_max = 100,
                .store = id(0x5A)};
    }
    void connect() {
        session.start();
        run(now);
        session_format::Welcome replacing = welcome();
        replacing.replaces = true;
        replacing.replaced_journal = id(9);
        replacing.replaced_applied = 4;
        receive(bytes_of(replacing));
        receive(ack(0));
    }
};

const auto lifecycle_of_a_session = [](auto observer) {
    ObservedSession<decltype(observer)> observed_session{std::move(observer)};
    observed_session.connect();
    observed_session.send("one");
    observed_session.run(3s);
    observed_session.receive(ack(1));
    observed_session.receive(error(SessionErrc::fenced));
};
const Recorded all_of_a_session{"connecting", "replaced at 4",  "connected", "accepted 1",
                                "stalled",    "acknowledged 1", "failed",    "blocked fenced"};

struct SessionRecorder {
    Recorded& reported;
    void on_state(const Transition& t) { reported.emplace_back(to_string(t.to.state)); }
    void on_accepted(std::uint64_t n) { reported.push_back("accepted " + std::to_string(n)); }
    void on_acknowledged(std::uint64_t n) {
        reported.push_back("acknowledged " + std::to_string(n));
    }
    void on_blocked(Blocked why, const BlockedDetails&) {
        reported.push_back("blocked " + std::string{to_string(why)});
    }
    void on_journal_replaced(const BlockedDetails& d) {
        reported.push_back("replaced at " + std::to_string(d.replaced_applied));
    }
    void on_stalled() { reported.emplace_back("stalled"); }
};
struct SessionRecorderWithMachine {
    Recorded& reported;
    void on_state(auto& session, const Transition& t) {
        if (session.queue().empty() || session.depth() == 1) SessionRecorder{reported}.on_state(t);
    }
    void on_accepted(auto& session, std::uint64_t n) {
        if (session.status().accepted == n) SessionRecorder{reported}.on_accepted(n);
    }
    void on_acknowledged(auto& session, std::uint64_t n) {
        if (session.status().acknowledged == n) SessionRecorder{reported}.on_acknowledged(n);
    }
    void on_blocked(auto& session, Blocked why, const BlockedDetails& d) {
        if (session.status().blocked == why) SessionRecorder{reported}.on_blocked(why, d);
    }
    void on_journal_replaced(auto& session, const BlockedDetails& d) {
        if (session.depth() == 0) SessionRecorder{reported}.on_journal_replaced(d);
    }
    void on_stalled(auto& session) {
        if (session.depth() == 1) SessionRecorder{reported}.on_stalled();
    }
};
struct SessionAllWrong : NoObserver {
    void on_state(Transition&);
    void on_accepted();
    void on_acknowledged(std::uint64_t&);
    void on_acknowledged(const char*);
    void on_blocked(Blocked);
    void on_journal_replaced(const Id&, const Progress&);
    void on_stalled(auto&, int);
};
using AnySession = Session<RawTransport<>, decltype(patient()), Queue<DiskJournal>>;
using OfSession = detail::SessionHooks<AnySession>;
static_assert(!OfSession::State::right<SessionAllWrong>);
static_assert(!OfSession::Accepted::right<SessionAllWrong>);
static_assert(!OfSession::Acknowledged::right<SessionAllWrong>);
static_assert(!OfSession::IsBlocked::right<SessionAllWrong>);
static_assert(!OfSession::JournalReplaced::right<SessionAllWrong>);
static_assert(!OfSession::Stalled::right<SessionAllWrong>);

}  // namespace

TEST_CASE("Session calls each hook, in every form of observer",
          "[session][session_observer][unit]") {
    observed_in_every_form<SessionRecorder>(lifecycle_of_a_session, all_of_a_session);
    observed_in_every_form<SessionRecorderWithMachine>(lifecycle_of_a_session, all_of_a_session);
}

TEST_CASE("A Tee of a Session's observer and a LinkLog calls all hooks of both",
          "[session][session_observer][regression]") {
    Recorded lines;
    Recorded reported;
    ObservedSession observed_session{
        Tee{LinkLog{[&](std::string_view line) { lines.emplace_back(line); }},
            SessionRecorder{reported}}};
    observed_session.connect();
    observed_session.send("one");
    observed_session.receive(ack(1));
    CHECK(reported ==
          Recorded{"connecting", "replaced at 4", "connected", "accepted 1", "acknowledged 1"});
    CHECK(lines == Recorded{"link: connected"});
}

TEST_CASE("Observers of a session and its queue may declare that they have no hooks",
          "[session][session_observer][unit]") {
    struct WithoutHooks : NoObserver {};
    lifecycle_of_a_session(WithoutHooks{});
    WithoutHooks silent;
    lifecycle_of_a_session(std::ref(silent));
    ObservedSession observed_session{WithoutHooks{}, WithoutHooks{}};
    observed_session.connect();
}

TEST_CASE("QueueCounters of a session's queue count acknowledged operations as released",
          "[session][session_observer][unit]") {
    ObservedSession observed_session{NoObserver{}, QueueCounters{}};
    const QueueCounters& counters = observed_session.session.queue().observer();
    observed_session.connect();
    for (const char* text : {"one", "two", "three"}) observed_session.send(text);
    CHECK(counters.pushed == 3);
    CHECK(counters.released == 0);
    observed_session.receive(ack(2));
    CHECK(counters.released == 2);
    CHECK(observed_session.session.queue().size() == 1);
    CHECK(counters.pushed == counters.released + observed_session.session.queue().size());
    observed_session.receive(ack(2));
    CHECK(counters.released == 2);
    observed_session.receive(ack(3));
    CHECK(counters.released == 3);
    CHECK(counters.popped == 0);
}

namespace {

struct ThrowsOnRelease {
    Recorded* reported;
    void on_released(const auto& queue, std::size_t count, std::size_t size) {
        reported->push_back(std::to_string(count) + " left, " + std::to_string(size) + " " +
                            std::to_string(queue.size()));
        throw 1;
    }
};

}  // namespace

TEST_CASE("A session's queue reports a release once, also if its hook throws",
          "[session][session_observer][fault]") {
    Recorded reported;
    Recorded of_session;
    ObservedSession observed_session{SessionRecorder{of_session}, ThrowsOnRelease{&reported}};
    observed_session.connect();
    observed_session.send("one");
    observed_session.send("two");
    observed_session.lines.back()->say(ack(1));
    CHECK_THROWS_AS(observed_session.run({}), int);
    CHECK(reported == Recorded{"1 left, 1 1"});
    observed_session.run({});
    CHECK(reported.size() == 1);
    CHECK(of_session.back() == "acknowledged 1");
}
