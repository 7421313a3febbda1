// SPDX-License-Identifier: MIT
// Goal: no interleaving of commands, transport events, time and user code breaks the contract of
// docs/explanation/links.md. Method: random scripts over nested decorators, run twice (at the deadlines, and at
// a superset of them); messages carry their epoch. BELAY_SEEDS is the number of scripts, BELAY_SEED
// replays one of them and prints its history.
#include <belay/link/supervisor.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/validated.hpp>

#include "support/catch.hpp"
#include "support/link/link_transitions.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr int leaves = 4;
constexpr std::array<Lane, leaves> lane_of{0, 1, 2, 6};
constexpr Duration dead_after = 25s;

enum class PeerMessage : std::uint16_t { data, yes, no, question, posted };

struct Msg {
    std::uint32_t epoch = 0;
    std::uint16_t leaf = 0;
    PeerMessage what = PeerMessage::data;
    std::uint32_t n = 0;
};

struct Thrown {};
struct World;

/// One transport of the tree; leaf 2 has no optional member.
template <int K>
class Socket {
public:
    Socket(World& world, const Link<Msg>& link);
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket();
    SendResult send(const Msg& m) noexcept;
    void close(const Failure&) noexcept
        requires(K != 2);
    void ping() noexcept
        requires(K != 2);
    void resume_reading() noexcept
        requires(K != 2);

private:
    World& world_;
    Link<Msg> link_;
    std::uint32_t epoch_;
};

template <int K>
struct Fake {
    using message_type = Msg;
    World* world;
    Socket<K> open(const Link<Msg>& link) { return Socket<K>{*world, link}; }
};

template <int K>
struct Check {
    World* world;
    Verdict begin(const auto& say);
    Verdict judge(const Msg& m, const auto& say);
};

/// A rule that records its calls, and gives advice by the script's random numbers.
struct Recorder {
    World* world;
    static constexpr std::string_view name = "recorder";
    Advice admit(Instant now) const noexcept;
    Advice begin(Turn& turn) noexcept;
    Advice failed(const Failure& f, Turn& turn) noexcept;
    Advice lost(const Failure& f, Turn& turn) noexcept;
    Advice review(const Advice& planned, Turn& turn) noexcept;
    void succeeded(Turn&) noexcept;
    void abandoned(Turn&) noexcept;
    void reset() noexcept;
    Duration stable_window() const noexcept { return 10s; }
    Duration attempt_limit() const noexcept { return 20s; }
};

struct App {
    World* world;
    void on_state(auto& link, const Transition& t);
    void on_message(auto& link, Msg m, Lane lane);
    void on_writable(auto& link, Lane lane);
    void on_unsent(Msg m, Lane);
};

using Tree = Bundle<Heartbeat<Fake<0>>, Validated<Heartbeat<Fake<1>>, Check<1>>,
                    Bundle<Fake<2>, Validated<Fake<3>, Check<3>>>>;
using Sup = Supervisor<Tree, Recorder, App>;

enum class Act {
    stop,
    start,
    restart,
    destroy,
    raise,
    shut,
    open,
    reconnect,
    force,
    unhealthy,
    credentials,
    drain,
    receive,
    close,
    send,
    count
};

struct LeafState {
    Link<Msg> link;
    std::uint32_t epoch = 0;
    bool exists = false, opened = false, passed = false, paused = false, ended = false;
    std::uint32_t sent = 0;         // messages that the supervisor accepted
    std::uint32_t delivered = 0;    // the next message for the user
    std::uint32_t sent_at_end = 0;  // `sent` when it reported that it was closed
    bool closing = false;           // close() was called
    Instant sign_at = always, sign_before = always;
    bool sign_outside = false;  // before the turn, and so before a heartbeat could judge

    void sign(Instant now, bool outside) {
        if (now > sign_at) {
            sign_before = sign_at;
            sign_outside = false;
        }
        sign_at = now;
        sign_outside = sign_outside || outside;
    }
    Instant last_sign(Instant now) const {
        return sign_at == now && !sign_outside ? sign_before : sign_at;
    }
};

struct World {
    World(std::uint64_t s, bool dense_)
        : seed{s}, dense{dense_}, script{Seed{s * 2 + 1}}, extra{Seed{s + 77}}, node{*this} {}

    // ---- the driver ----
    struct Node : belay::driver::WakeNode {
        explicit Node(World& w) : belay::driver::WakeNode{table}, world{w} {}
        World& world;
        static World& of(belay::driver::WakeNode& n) { return static_cast<Node&>(n).world; }
        static const belay::driver::WakeOps table;
    };

    std::uint64_t seed;
    bool dense;
    Random script, extra;
    Node node;
    Instant now{1000s};
    bool woken = false, attached = true, advancing = false;
    std::string log, failure;
    std::uint32_t draws = 0;

    std::array<LeafState, leaves> leaf{};
    std::vector<Link<Msg>> old_links;
    std::uint32_t epochs = 0, connectings = 0;

    // the policy's view
    bool begun = false, planned = false, manual = false, hard_manual = false;
    std::uint32_t attempt = 0;
    Instant not_before = always, floor = always, breaker_until = always;
    unsigned refusals = 0;

    // the user's view
    Instant connected_at = never;
    int depth = 0;
    LinkState notified = LinkState::stopped;
    bool expect_stopped = false, stop_in_part = false;
    int starts_left = 0;
    std::uint32_t undialled = 0;  // attempts that a stop() in the previous close ended
    std::uint32_t posted = 0, sent_posts = 0, unsent = 0, fulls = 0, resumes = 0, openings = 0;
    std::uint32_t drains = 0, drains_late = 0, drained_behind = 0, recycled = 0;
    bool voided = false;
    std::uint32_t gates = 0;
    bool recycles = false;
    std::uint32_t credentials_of = 0;  // the epoch in which they were set
    // The shortest limit of the drains that may not have been carried out, and when a drain may
    // end.
    Duration drain_asked = Duration::max();
    Instant drain_ends_min = never, drain_ends_max = never;
    bool cut_short = false;   // by a stop()
    bool unreported = false;  // an exception left before every change was reported
    bool refused = false;     // a check rejected the peer
    std::deque<Act> hooks;
    std::array<std::deque<int>, leaves> in_open;
    int stop_in_check = 0;
    int stop_in_call = 0;  // of close, send, ping or resume_reading
    std::uint32_t stopped_in_call = 0;

    std::unique_ptr<Sup> link;
    std::unique_ptr<Sup::Handle> handle;

    void fail(const std::string& what) {
        if (failure.empty())
            failure = what + "\n    at " + log.substr(log.size() > 1500 ? log.size() - 1500 : 0);
    }
    void expect(bool ok, const char* what) {
        if (!ok) fail(what);
    }
    void note(const std::string& what) {
        log += std::to_string(now.time_since_epoch() / 1ms) + " " + what + "\n";
    }
    /// Chance of the environment: the same in both runs as long as their histories agree.
    std::uint64_t chance(std::uint64_t n) { return detail::mix64(seed * 1000003 + ++draws) % n; }

    void build(unsigned per_turn, std::size_t messages) {
        link = std::make_unique<Sup>(
            Tree{Heartbeat{Fake<0>{this}, {.every = 10s, .dead_after = dead_after}},
                 Validated{Heartbeat{Fake<1>{this}, {.every = 10s, .dead_after = dead_after}},
                           Check<1>{this}},
                 Bundle{Fake<2>{this}, Validated{Fake<3>{this}, Check<3>{this}}}},
            Recorder{this},
            SupervisorOptions{.messages_max = messages,
                              .events_per_turn_max = per_turn,
                              .core = {.recycle = recycles}},
            App{this});
        node.references.fetch_add(1);
        link->attach(Waker{belay::driver::WakeHandle::adopt(&node), Seed{seed + 5}});
        handle = std::make_unique<Sup::Handle>(link->handle());
    }

    void advance() {
        advancing = true;
        try {
            link->advance(now);
        } catch (const Thrown&) {
            note("caught");
            unreported = true;
        }
        advancing = false;
    }
    void settle() {
        for (int i = 0; link && link->deadline() <= now; ++i) {
            if (i > 3000) return fail("repeats turns at one instant");
            advance();
        }
        if (link && failure.empty()) quiet();
    }
    void pass(Duration d) {
        const Instant target = now + d;
        while (link && failure.empty()) {
            Instant next = std::max(now, link->deadline());
            if (dense)
                next = std::min(
                    next,
                    now + Duration{static_cast<std::int64_t>(uniform_upto(extra, 4'000'000'000))});
            if (next > target) break;
            now = next;
            settle();
        }
        now = target;
    }

    // ---- commands ----
    void stop() {
        const bool pending = link->status().state != LinkState::stopped;
        voided = cut_short = true;
        starts_left = unreported && notified == LinkState::stopped ? 1 : 0;
        link->stop();
        if (!link) return;
        expect(link->status().state == LinkState::stopped, "stop: status must be stopped at once");
        expect(link->send(Msg{}) == SendResult::down, "stop: send must return down");
        if (depth > 0 && pending) expect_stopped = true;
        if (depth == 0)
            expect(notified == LinkState::stopped, "stop: must call the hook before it returns");
    }
    /// Calls stop() inside a call of a transport.
    void stop_inside() {
        if (link->status().state == LinkState::stopped) return;
        stop_in_part = true;
        // The start before it may not have been reported yet.
        starts_left = notified == LinkState::stopped ? 1 : 0;
        voided = cut_short = true;
        link->stop();
    }
    void start() {
        ++starts_left;
        manual = hard_manual = true;
        link->start();
    }
    void shut(std::uint64_t bit, Duration grace = {}) {
        gates |= 1U << bit;
        link->shut(static_cast<Gate>(1U << bit), grace);
    }
    /// Whether a gate is shut, and none of its grace is left.
    [[nodiscard]] bool is_shut(Instant at) const {
        for (std::uint32_t bit = 1; bit <= 2; bit *= 2) {
            const bool shut = (link->core().gates() & bit) != 0;
            if (shut && link->core().grace_ends(Gate{bit}) <= at) return true;
        }
        return false;
    }
    /// The end of the first grace that runs.
    [[nodiscard]] Instant grace_ends() const {
        Instant first = never;
        for (std::uint32_t bit = 1; bit <= 2; bit *= 2) {
            const Instant ends = link->core().grace_ends(Gate{bit});
            if (ends > now) first = std::min(first, ends);
        }
        return first;
    }
    void open(std::uint64_t bit) {
        gates &= ~(1U << bit);
        link->open(static_cast<Gate>(1U << bit));
    }
    void reconnect(bool force) {
        manual = true;
        if (force) hard_manual = true;
        // Both start again from failed and blocked_auth.
        if (link->status().state == LinkState::failed ||
            link->status().state == LinkState::blocked_auth)
            hard_manual = true;
        const auto answer = link->reconnect_now(force);
        note("reconnect " + std::to_string(answer.granted));
    }
    void credentials() {
        manual = hard_manual = true;
        credentials_of = epochs;
        link->credentials();
    }
    void drain_asks(Duration within) {
        drain_asked = std::min(drain_asked, within);
        // A drain counts from its turn, whose clock may have gone back.
        drain_ends_min = std::min(drain_ends_min, link->now() + within);
        // If nothing is connected, it is a stop(), which also ends all waits.
        hard_manual = manual = true;
    }
    void drain(Duration within) {
        drain_asks(within);
        link->drain(within);
    }
    void post_one() {
        const belay::driver::Post p =
            handle->post(Msg{0, 0, PeerMessage::posted, posted}, lane_of[chance(leaves)]);
        if (p == belay::driver::Post::taken) ++posted;
        if (p == belay::driver::Post::full) ++fulls;
    }
    void receive(int k, PeerMessage what) {
        LeafState& l = leaf[static_cast<std::size_t>(k)];
        Msg m{l.epoch, static_cast<std::uint16_t>(k), what, what == PeerMessage::data ? l.sent : 0};
        const belay::driver::Post p = l.link.received(std::move(m));
        if (p == belay::driver::Post::taken) {
            if (what == PeerMessage::no) refused = true;
            if (what == PeerMessage::data) ++l.sent;
            if (what == PeerMessage::yes) l.passed = true;
            l.sign(now, !advancing);
        } else if (p == belay::driver::Post::full) {
            l.paused = true;
            ++fulls;
            expect(m.epoch == l.epoch, "received: a rejected message must be unchanged");
        }
    }
    void opened(int k) {
        LeafState& l = leaf[static_cast<std::size_t>(k)];
        if (l.link.opened() == belay::driver::Post::taken) {
            l.opened = true;
            l.sign(now, !advancing);
        }
    }
    void closed(int k, std::uint64_t r) {
        Failure f{.cause = static_cast<Cause>(r % 11)};
        if (f.cause == Cause::overloaded && r % 2 == 0) f.retry_after = 3s;
        ended(k, f);
    }
    void ended(int k, const Failure& f) {
        LeafState& l = leaf[static_cast<std::size_t>(k)];
        if (l.link.closed(f) == belay::driver::Post::taken && !l.ended) {
            l.ended = true;
            l.sent_at_end = l.sent;
        }
    }
    void perform(Act a) {
        switch (a) {
            case Act::stop:
                return stop();
            case Act::start:
                return start();
            case Act::restart:
                return stop(), start();
            case Act::destroy:
                return link.reset();
            case Act::shut:
                return shut(chance(2));
            case Act::open:
                return open(chance(2));
            case Act::reconnect:
                return reconnect(false);
            case Act::force:
                return reconnect(true);
            case Act::unhealthy:
                return link->report_unhealthy();
            case Act::credentials:
                return credentials();
            case Act::drain:
                return drain(std::chrono::milliseconds{1 + chance(8000)});
            case Act::receive:
                return receive(static_cast<int>(chance(leaves)), PeerMessage::data);
            case Act::close:
                return closed(static_cast<int>(chance(leaves)), chance(100));
            case Act::send:
                return static_cast<void>(
                    link->send(Msg{0, 0, PeerMessage::data, 0}, lane_of[chance(leaves)]));
            default:
                return;
        }
    }
    /// Runs the next scripted piece of user code.
    void user_code() {
        if (hooks.empty()) return;
        const Act a = hooks.front();
        hooks.pop_front();
        note("hook act " + std::to_string(static_cast<int>(a)));
        if (a == Act::raise) throw Thrown{};
        perform(a);
    }

    /// Runs the user code in the next call of a transport, if the script has some.
    void transport_code() {
        if (stop_in_call == 0 || link->status().state == LinkState::stopped) return;
        --stop_in_call;
        ++stopped_in_call;
        note("stop in call");
        if (link->status().state == LinkState::connecting && !alive()) ++undialled;
        stop_inside();
    }

    // ---- the contract ---------------------------------------------------------------------------
    bool alive() const { return leaf[0].link.alive(); }

    /// Checks the end of a drain: its state is `stopped`, no message was lost, and the failure has
    /// the reason.
    void check_drained(const Transition& t) {
        if (std::exchange(cut_short, false)) return;
        const Failure& f = t.to.failure;
        const bool late = f == failure_of(LinkErrc::not_drained);
        expect(!late || now >= drain_ends_min, "a drain ended before its limit");
        if (late) ++drains_late;
        if (f.cause != Cause::none) return;
        for (std::size_t k = 0; k < leaf.size(); ++k) {
            const LeafState& l = leaf[k];
            expect(k == 2 || (l.closing && l.ended), "drained before its close was complete");
            expect(l.delivered >= l.sent_at_end, "a drain lost what had been received");
            if (l.ended) drained_behind += l.sent_at_end;
        }
    }

    void enter_hook() {
        expect(depth == 0, "hooks must not nest");
        ++depth;
    }
    struct Leave {
        World& w;
        ~Leave() { --w.depth; }
    };

    void quiet() {
        const LinkStatus& s = link->status();
        expect(handle->status() == s, "the published status differs");
        expect(s.state == notified, "a transition was not reported");
        expect(connectings == epochs + undialled, "dials and reported attempts differ");
        expect(link->core().gates() == gates, "a gate was lost");
        expect(link->deadline() > now, "deadline must have moved");
        expect(s.attempt == attempt, "the attempt counter is wrong");
        const Instant d = link->core().deadline();
        switch (s.state) {
            case LinkState::stopped:
            case LinkState::failed:
            case LinkState::offline:
            case LinkState::blocked_auth:
                expect(d == never && !alive(),
                       "a sleeping state must have no timer and no connection");
                break;
            case LinkState::cooldown:
            case LinkState::suspended:
                expect(d == std::min(s.retry_at, grace_ends()) && d != never && d != always &&
                           !alive(),
                       "a wait must have a timer, and no connection");
                break;
            case LinkState::connecting:
                expect(d != never && alive(), "an attempt needs a limit and a connection");
                break;
            case LinkState::connected:
                expect(alive(), "connected needs a connection");
                break;
            case LinkState::draining:
                expect(alive(), "a drain needs a connection");
                if (drain_asked != Duration::max())
                    drain_ends_max = std::min(drain_ends_max, now + drain_asked);
                expect(d <= drain_ends_max, "a drain has no limit, or one that is too late");
                expect(link->send(Msg{}) == SendResult::down, "a drain must not send");
                break;
        }
        drain_asked = Duration::max();  // all commands have been carried out
        cut_short = unreported = false;
        if (s.state != LinkState::draining) drain_ends_min = drain_ends_max = never;
        expect(!recycles || s.state != LinkState::connected || credentials_of < epochs,
               "a connection outlives its credentials");
        // All commands have been carried out. One that shortened the wait counts until the wait
        // ends.
        const bool waits = s.state == LinkState::cooldown || s.state == LinkState::suspended;
        if (waits) {
            expect(manual || s.retry_at >= not_before, "waits less than the rule advised");
            expect(hard_manual || s.retry_at >= floor, "waits less than the server asked for");
        }
        if (s.state != LinkState::offline) {  // a gate does not revoke a granted retry
            manual = waits && s.retry_at < not_before;
            hard_manual = waits && s.retry_at < floor;
        }
        const bool graced = s.state == LinkState::connected && grace_ends() != never;
        const bool unproved = s.state == LinkState::connected && !link->core().alive();
        expect(graced || begun == (s.state == LinkState::connecting || unproved ||
                                   (s.state == LinkState::connected && d != never)),
               "an attempt without a verdict must be under way or not yet stable");
        expect(!planned || waits, "an attempt is planned that will not take place");
        expect((s.state == LinkState::offline) <= (gates != 0), "offline needs a shut gate");
        if (is_shut(now)) {
            expect(s.state == LinkState::stopped || s.state == LinkState::offline ||
                       s.state == LinkState::failed || s.state == LinkState::blocked_auth ||
                       s.state == LinkState::draining,
                   "a shut gate keeps everything down");
        }
        // Each opening adds one, because a lane that was held may not have been rejected.
        expect(resumes <= fulls + openings, "more resumes than rejections");
        expect(sent_posts + unsent <= posted, "a posted message was handled twice");
        if (!voided) expect(sent_posts + unsent == posted, "a posted message vanished");
        for (const LeafState& l : leaf) {
            // Too many early messages wait until the connection is open.
            if (l.exists && l.link.alive() && &l != &leaf[2] && s.state != LinkState::connecting)
                expect(!l.paused, "a rejected sender was not resumed");
        }
    }
};

const belay::driver::WakeOps World::Node::table{
    [](belay::driver::WakeNode& n) noexcept { of(n).woken = true; },
    [](belay::driver::WakeNode& n) noexcept { of(n).woken = true; },
    [](belay::driver::WakeNode& n) noexcept { return of(n).now; },
    [](belay::driver::WakeNode& n) noexcept { of(n).attached = false; },
    [](belay::driver::WakeNode*) noexcept {}};

template <int K>
Socket<K>::Socket(World& world, const Link<Msg>& link) : world_{world}, link_{link} {
    if constexpr (K == 0) {
        for (const LeafState& l : world.leaf)
            world.expect(!l.exists, "a connection of the last epoch still exists");
        ++world.epochs;
        world.expect(!world.is_shut(world.link->now()), "dialled through a shut gate");
        world.expect(world.link->status().state == LinkState::connecting,
                     "dialled outside connecting");
    }
    epoch_ = world.epochs;
    LeafState& l = world.leaf[K];
    if (l.epoch != 0) world.old_links.push_back(l.link);
    l = LeafState{};
    l.link = link;
    l.epoch = epoch_;
    l.exists = true;
    world.note("open " + std::to_string(K));
    auto& plan = world.in_open[K];
    while (!plan.empty()) {
        const int what = plan.front();
        plan.pop_front();
        if (what == 0) world.opened(K);
        if (what == 1) world.closed(K, world.chance(100));
        if (what == 2) world.receive(K, PeerMessage::data);
        if (what == 3) world.stop_inside();
        if (what == 4) {
            l.exists = false;
            throw Thrown{};
        }
    }
}

template <int K>
Socket<K>::~Socket() {
    LeafState& l = world_.leaf[K];
    l.exists = false;
    world_.note("destroy " + std::to_string(K));
    if (std::uncaught_exceptions() != 0) return;  // a later open() of the bundle threw
    world_.expect(!link_.alive(), "destroyed before its epoch was void");
    Msg m{epoch_, K, PeerMessage::data, 0};
    world_.expect(link_.received(std::move(m)) == belay::driver::Post::gone &&
                      link_.closed() == belay::driver::Post::gone &&
                      link_.opened() == belay::driver::Post::gone,
                  "a destructor could report");
}

template <int K>
SendResult Socket<K>::send(const Msg& m) noexcept {
    if (m.what != PeerMessage::question) {
        world_.expect(world_.link->status().state == LinkState::connected,
                      "sent outside connected");
        world_.expect(link_.alive(), "sent on a dead connection");
        world_.expect(!world_.leaf[K].closing, "sent after the close");
    }
    if (world_.chance(8) == 0) return SendResult::busy;
    if (m.what == PeerMessage::posted) ++world_.sent_posts;
    world_.note("send " + std::to_string(K));
    if (m.what != PeerMessage::question) world_.transport_code();
    world_.expect(world_.leaf[K].exists, "destroyed in its own send");
    return SendResult::sent;
}
template <int K>
void Socket<K>::close(const Failure&) noexcept
    requires(K != 2)
{
    world_.note("close " + std::to_string(K));
    world_.expect(!link_.alive() || world_.link->status().state == LinkState::draining,
                  "closed gracefully before its epoch was void");
    world_.expect(!std::exchange(world_.leaf[K].closing, true), "closed twice");
    if (world_.chance(2) == 0) world_.ended(K, {.cause = Cause::planned});
    world_.transport_code();
    world_.expect(world_.leaf[K].exists, "destroyed in its own close");
}
template <int K>
void Socket<K>::ping() noexcept
    requires(K != 2)
{
    world_.note("ping " + std::to_string(K));
    world_.expect(link_.alive() || world_.stop_in_part, "pinged a dead connection");
    if (world_.chance(4) != 0 && link_.pong() == belay::driver::Post::taken)
        world_.leaf[K].sign(world_.now, false);
    world_.transport_code();
}
template <int K>
void Socket<K>::resume_reading() noexcept
    requires(K != 2)
{
    if (K == 0) ++world_.resumes;
    world_.leaf[K].paused = false;
    world_.transport_code();
}

template <int K>
Verdict Check<K>::begin(const auto& say) {
    world->expect(world->alive(), "a check began after its epoch");
    world->note("begin check " + std::to_string(K));
    static_cast<void>(say(Msg{0, K, PeerMessage::question, 0}));
    if (world->chance(6) == 0) {
        world->leaf[K].passed = true;
        return Verdict::passed();
    }
    return Verdict::pending();
}
template <int K>
Verdict Check<K>::judge(const Msg& m, const auto&) {
    world->expect(m.epoch == world->epochs, "a check saw a message of another epoch");
    world->expect(m.leaf == K, "a check saw another's message");
    if (m.what == PeerMessage::data) world->leaf[K].delivered = m.n + 1;
    if (world->stop_in_check > 0) {
        --world->stop_in_check;
        world->note("stop in check");
        world->stop_in_part = true;
        world->starts_left = 0;
        world->voided = world->cut_short = true;
        world->link->stop();
    }
    if (m.what == PeerMessage::yes) return Verdict::passed();
    if (m.what == PeerMessage::no) return Verdict::rejected({.cause = Cause::unauthorized});
    return Verdict::pending();
}

Advice Recorder::admit(Instant now) const noexcept {
    return now < world->breaker_until ? Advice::suspend(world->breaker_until) : Advice::go();
}
Advice Recorder::begin(Turn& turn) noexcept {
    World& w = *world;
    w.expect(!w.begun, "begin without a verdict on the last");
    w.expect(!w.is_shut(turn.now), "begin through a shut gate");
    if (!w.manual) w.expect(turn.now >= w.not_before, "begin before the advised wait was over");
    if (!w.hard_manual)
        w.expect(turn.now >= w.floor && turn.now >= w.breaker_until,
                 "begin before the server's or breaker's wait was over");
    if (w.refusals > 0) {
        --w.refusals;
        w.not_before = turn.now + 2s;
        w.floor = std::max(w.floor, w.not_before);
        return Advice::suspend(turn.now + 2s);
    }
    w.begun = true;
    w.planned = false;
    w.not_before = always;  // ended, or overridden
    ++w.attempt;
    return Advice::go();
}
Advice Recorder::failed(const Failure& f, Turn& turn) noexcept {
    World& w = *world;
    w.expect(w.begun, "failed without begin");
    w.expect(f.cause != Cause::none && f.cause != Cause::planned,
             "failed with a cause that is no failure");
    w.begun = false;
    w.expect(w.notified != LinkState::connected || elapsed(w.connected_at, turn.now) < 10s ||
                 !w.link->core().alive(),
             "failed a connection that had been stable");
    return lost(f, turn);
}
Advice Recorder::lost(const Failure& f, Turn& turn) noexcept {
    World& w = *world;
    w.expect(!w.begun, "lost before the verdict");
    w.note("verdict " + std::string{to_string(f.cause)});
    bool reported = f.category != nullptr || f.cause == Cause::overloaded || w.refused;
    for (const LeafState& l : w.leaf) reported = reported || l.ended;
    w.expect(reported, "a loss that no transport has reported");
    constexpr std::array<Duration, 4> waits{0s, 1ms, 1s, 9s};
    const Instant until = turn.now + waits[w.chance(4)];
    const std::uint64_t kind = w.chance(16);
    w.not_before = until;
    if (f.retry_after > 0s) w.floor = std::max(w.floor, turn.now + f.retry_after);
    if (kind == 0) {
        // It does not hold if the credentials were replaced during the attempt.
        if (f.cause == Cause::unauthorized) w.not_before = turn.now;
        return Advice::stop();
    }
    if (kind < 3) return w.floor = std::max(w.floor, until), Advice::wait_exactly(until);
    if (kind < 5) return w.floor = std::max(w.floor, until), Advice::suspend(until);
    return Advice::wait_at_least(until);
}
Advice Recorder::review(const Advice& plan, Turn&) noexcept {
    world->expect(!world->begun && !world->planned, "planned twice, or under way");
    world->expect(plan.verb != Advice::Verb::stop, "planned an attempt although it was stopped");
    world->planned = true;
    return Advice::go();
}
void Recorder::succeeded(Turn&) noexcept {
    world->expect(world->begun, "succeeded without begin");
    world->begun = false;
    world->attempt = 0;
    world->note("succeeded");
}
void Recorder::abandoned(Turn&) noexcept {
    world->expect(world->begun || world->planned, "abandoned without begin or plan");
    if (world->begun) --world->attempt;
    world->begun = world->planned = false;
    world->note("abandoned");
}
void Recorder::reset() noexcept {
    world->attempt = 0;
    world->floor = world->not_before = always;
}

void App::on_state(auto& link, const Transition& t) {
    World& w = *world;
    w.enter_hook();
    const World::Leave leave{w};
    w.note(std::string{to_string(t.from)} + " > " + std::string{to_string(t.to.state)} +
           " attempt " + std::to_string(t.to.attempt) + " by " + std::string{t.to.decided_by} +
           " " + std::string{to_string(t.to.failure.cause)});
    w.expect(t.from == w.notified, "the path of states has a gap");
    w.expect(belay_test::is_legal(t.from, t.to.state), "a transition that is not in the table");
    if (w.expect_stopped || w.stop_in_part) {
        if (w.expect_stopped)
            w.expect(t.to.state == LinkState::stopped,
                     "a transition came between stop and stopped");
        if (t.to.state == LinkState::stopped) w.expect_stopped = w.stop_in_part = false;
    } else if (!w.unreported) {
        w.expect(t.to == link.status(), "the status is ahead of the reported transition");
        w.expect(w.handle->status() == link.status(), "the published status differs in a hook");
    }
    if (t.from == LinkState::stopped) {
        w.expect(w.starts_left > 0, "left stopped without a start");
        --w.starts_left;
    }
    if (t.from == LinkState::draining) w.check_drained(t);
    w.notified = t.to.state;
    if (w.recycles && w.credentials_of == w.epochs && t.from == LinkState::connected &&
        t.to.state == LinkState::cooldown && t.to.withdrawn) {
        bool by_peer = false;
        for (const LeafState& l : w.leaf) by_peer = by_peer || l.ended;
        w.recycled += by_peer ? 0 : 1;
        w.expect(by_peer || (w.leaf[0].closing && w.leaf[1].closing && w.leaf[3].closing),
                 "replaced without a close");
    }
    if (t.to.state == LinkState::draining) {
        ++w.drains;
        w.expect(w.drain_ends_min != never, "a drain without a call of drain");
    }
    if (t.to.state == LinkState::connecting) ++w.connectings;
    if (t.to.state == LinkState::connected) {
        w.connected_at = t.to.since;
        ++w.openings;
        w.floor = w.not_before = always;
        for (int k = 0; k < leaves; ++k) {
            const LeafState& l = w.leaf[static_cast<std::size_t>(k)];
            w.expect(l.opened && l.epoch == w.epochs, "connected before all were open");
            if (k % 2 == 1) w.expect(l.passed, "connected before all were validated");
        }
    } else if (t.to.state != LinkState::connecting && t.to.state != LinkState::draining) {
        w.expect(!w.alive(), "an epoch is still current after its end");
    }
    // Only a command leaves these states, and it overrides the waits.
    if (t.to.state == LinkState::stopped || t.to.state == LinkState::failed ||
        t.to.state == LinkState::blocked_auth) {
        w.floor = w.not_before = always;
    }
    const bool ended = t.to.state == LinkState::cooldown || t.to.state == LinkState::suspended ||
                       t.from == LinkState::draining;
    if (ended && t.to.failure.code == static_cast<int>(LinkErrc::heartbeat_lost) &&
        t.to.failure.category == &belay::detail::link_category() &&
        (t.from == LinkState::connected || t.from == LinkState::connecting ||
         t.from == LinkState::draining)) {
        w.expect(elapsed(w.leaf[0].last_sign(w.now), w.now) >= dead_after ||
                     elapsed(w.leaf[1].last_sign(w.now), w.now) >= dead_after,
                 "a heartbeat closed a connection that received something in time");
    }
    w.user_code();
}
void App::on_message(auto& link, Msg m, Lane lane) {
    World& w = *world;
    w.enter_hook();
    const World::Leave leave{w};
    w.note("message " + std::to_string(lane) + " n " + std::to_string(m.n));
    w.expect(!w.expect_stopped, "a message came between stop and stopped");
    w.expect(link.status().state == w.notified &&
                 (w.notified == LinkState::connected || w.notified == LinkState::draining),
             "a message outside connected and draining");
    w.expect(m.epoch == w.epochs, "a message of an old epoch");
    w.expect(m.leaf < leaves && lane == lane_of[m.leaf], "a message on another lane");
    if (m.what == PeerMessage::data) {
        LeafState& l = w.leaf[m.leaf];
        w.expect(m.n == l.delivered, "a message was lost, repeated or overtaken");
        l.delivered = m.n + 1;
    }
    w.user_code();
}
void App::on_writable(auto& link, Lane) {
    World& w = *world;
    w.enter_hook();
    const World::Leave leave{w};
    w.expect(!w.expect_stopped, "writable came between stop and stopped");
    w.expect(link.status().state == LinkState::connected, "writable outside connected");
    w.user_code();
}
void App::on_unsent(Msg m, Lane) {
    World& w = *world;
    w.enter_hook();
    const World::Leave leave{w};
    w.expect(!w.expect_stopped, "unsent came between stop and stopped");
    w.expect(m.what == PeerMessage::posted, "returned a message that was not posted");
    ++w.unsent;
    w.user_code();
}

/// Takes one step of the script. It draws from `script` only, in any state.
void script_step(World& w) {
    Random& r = w.script;
    const auto pick = [&](std::uint64_t n) { return uniform_upto(r, n - 1); };
    const std::uint64_t what = pick(33), k = pick(leaves), x = pick(1000);
    const bool settle = pick(3) != 0;
    const int leaf = static_cast<int>(k);
    const Instant due = w.link->deadline();
    w.woken = false;
    const auto greet = [&] {
        for (int i = 0; i < leaves; ++i) w.opened(i);
        w.settle();
        for (const int i : {1, 3}) {
            if (w.link) w.receive(i, PeerMessage::yes);
        }
    };
    switch (what) {
        case 0:
            w.start();
            break;
        case 1:
            if (x < 300) w.stop();
            break;
        case 2:
            if (x < 400) w.shut(k % 2, x % 3 == 0 ? std::chrono::milliseconds{10 * x} : Duration{});
            break;
        case 3:
            w.open(k % 2);
            break;
        case 4:
            w.opened(leaf);
            break;
        case 5:
            w.closed(leaf, x);
            break;
        case 6:
        case 7:
            w.receive(leaf, PeerMessage::data);
            break;
        case 8:
            w.receive(leaf, PeerMessage::yes);
            break;
        case 9:
            if (x < 300) w.receive(leaf, PeerMessage::no);
            break;
        case 10:
            if (w.leaf[k].link.pong() == belay::driver::Post::taken) w.leaf[k].sign(w.now, true);
            break;
        case 11:
            w.leaf[k].link.writable();
            break;
        case 12:
            w.pass(Duration{static_cast<std::int64_t>(x) * 1'000'000});
            break;
        case 13:
            w.pass(std::chrono::milliseconds{static_cast<std::int64_t>(x) * 15});
            break;
        case 14:
            w.reconnect(false);
            break;
        case 15:
            w.reconnect(true);
            break;
        case 16:
            w.credentials();
            break;
        case 17:
            w.link->report_unhealthy();
            break;
        case 18:
            switch (x % 7) {
                case 0:
                    ++w.starts_left;
                    w.manual = w.hard_manual = true;
                    w.handle->start();
                    break;
                case 1:
                    w.cut_short = true;
                    w.handle->stop();
                    break;
                case 2:
                    w.gates |= 2;
                    w.handle->shut(Gate::hidden, std::chrono::milliseconds{k * 700});
                    break;
                case 3:
                    w.gates &= ~2U;
                    w.handle->open(Gate::hidden);
                    break;
                case 4:
                    w.manual = w.hard_manual = true;
                    w.credentials_of = w.epochs;
                    w.handle->credentials();
                    break;
                case 5:
                    w.manual = w.hard_manual = true;
                    w.handle->reconnect_now();
                    break;
                case 6:
                    w.drain_asks(std::chrono::milliseconds{1 + x * 5});
                    w.handle->drain(std::chrono::milliseconds{1 + x * 5});
                    break;
            }
            break;
        case 19:
            w.post_one();
            break;
        case 20:
            if (!w.old_links.empty()) {
                const Link<Msg>& old = w.old_links[x % w.old_links.size()];
                Msg m{1, 0, PeerMessage::data, 0};
                w.expect(old.received(std::move(m)) == belay::driver::Post::gone &&
                             old.opened() == belay::driver::Post::gone &&
                             old.pong() == belay::driver::Post::gone &&
                             old.writable() == belay::driver::Post::gone,
                         "an old link still has an effect");
            }
            break;
        case 21:
            w.now += std::chrono::milliseconds{static_cast<std::int64_t>(x) * 30};
            break;  // the driver is late
        case 22:
            w.hooks.push_back(static_cast<Act>(x % static_cast<std::uint64_t>(Act::count)) ==
                                          Act::destroy &&
                                      x % 5 != 0
                                  ? Act::send
                                  : static_cast<Act>(x % static_cast<std::uint64_t>(Act::count)));
            break;
        case 23: {
            const std::uint64_t in = x % 16;
            w.in_open[k].push_back(in < 9 ? 0 : in < 11 ? 1 : in < 14 ? 2 : in < 15 ? 3 : 4);
            break;
        }
        case 24:
            if (x < 100) ++w.stop_in_check;
            if (x >= 800) ++w.stop_in_call;
            break;
        case 25:
            if (x < 300)
                w.breaker_until =
                    w.now + std::chrono::milliseconds{static_cast<std::int64_t>(x) * 20};
            break;
        case 26:
            if (x < 200) ++w.refusals;
            break;
        case 27:
            w.closed(leaf, x);
            w.receive(static_cast<int>((k + 1) % leaves), PeerMessage::data);
            w.closed(static_cast<int>((k + 2) % leaves), x / 11);
            break;
        case 28: {
            // A drain with messages to send, and in most cases with a peer that answers.
            greet();
            if (w.link) w.settle();
            if (!w.link) break;
            w.receive(leaf, PeerMessage::data);
            w.drain(std::chrono::milliseconds{static_cast<std::int64_t>(x) * 10 + 1});
            w.receive(leaf, PeerMessage::data);
            if (x % 16 == 7) w.link->report_unhealthy();
            if (x % 4 != 0) w.settle();
            if (!w.link) break;
            w.receive(static_cast<int>((k + 1) % leaves), PeerMessage::data);
            for (int i = 0; i < leaves && x % 3 != 0; ++i) w.ended(i, {.cause = Cause::planned});
            if (x % 8 < 5) w.start();
            break;
        }
        case 29:
            w.link->advance(w.now - 1s);
            if (w.link) w.settle();
            break;  // a clock that goes back
        default:
            greet();
            break;
    }
    // A call that moves the deadline earlier must wake the driver.
    if (w.link && w.link->deadline() < due && what < 12)
        w.expect(w.woken, "the deadline moved earlier without a wake");
    if (settle && w.link) w.settle();
}

void one_step(World& w) {
    try {
        script_step(w);
    } catch (const Thrown&) {
        w.note("caught");
        w.unreported = true;
    }
}

std::string run(World& w) {
    constexpr std::array<unsigned, 4> per_turn{1, 2, 3, 64};
    constexpr std::array<std::size_t, 3> messages{2, 5, 1000};
    w.recycles = w.chance(2) == 0;
    w.build(per_turn[w.chance(4)], messages[w.chance(3)]);
    w.start();
    for (int i = 0; i < 150 && w.link && w.failure.empty(); ++i) one_step(w);
    if (w.link) w.settle();
    w.hooks.clear();
    if (w.link && w.chance(2) == 0) w.stop();
    w.link.reset();
    w.expect(!w.begun, "destroyed with an attempt that has no verdict");
    w.expect(!w.planned, "destroyed with a planned attempt");
    for (LeafState& l : w.leaf) {
        w.expect(!l.exists, "a connection outlived its supervisor");
        w.expect(l.link.opened() == belay::driver::Post::gone &&
                     l.link.closed() == belay::driver::Post::gone,
                 "a link outlived its supervisor");
    }
    w.expect(w.handle->start() == belay::driver::Post::gone &&
                 w.handle->post(Msg{}) == belay::driver::Post::gone,
             "a handle outlived its supervisor");
    w.expect(!w.attached, "the driver was not detached");
    return w.failure;
}

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* const text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

TEST_CASE("Supervisor keeps its contract under random interleavings",
          "[link][interleavings][property]") {
    const bool replay = std::getenv("BELAY_SEED") != nullptr;
    const std::uint64_t first = number_from("BELAY_SEED", 1);
    const std::uint64_t count = replay ? 1 : number_from("BELAY_SEEDS", 2000);
    REQUIRE(count > 0);
    std::size_t connects = 0, stable = 0, refused = 0, early = 0, recycled = 0;
    std::size_t drains = 0, late = 0, behind = 0, stopped = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        World sparse{seed, false};
        const std::string broken = run(sparse);
        if (replay) std::printf("%s", sparse.log.c_str());
        INFO("BELAY_SEED=" << seed);
        if (!broken.empty()) FAIL(broken);
        World dense{seed, true};
        const std::string broken_dense = run(dense);
        if (!broken_dense.empty()) FAIL("dense: " + broken_dense);
        if (sparse.log != dense.log) {
            std::size_t i = 0;
            while (sparse.log[i] == dense.log[i]) ++i;
            FAIL("advancing more often changed the history: "
                 << sparse.log.substr(i > 300 ? i - 300 : 0, 600) << "\n--- dense:\n"
                 << dense.log.substr(i > 300 ? i - 300 : 0, 600));
        }
        connects += sparse.log.find("> connected") != std::string::npos ? 1U : 0U;
        stable += sparse.log.find("succeeded") != std::string::npos ? 1U : 0U;
        refused += sparse.fulls != 0 ? 1U : 0U;
        drains += sparse.drains;
        late += sparse.drains_late;
        behind += sparse.drained_behind != 0 ? 1U : 0U;
        recycled += sparse.recycled;
        stopped += sparse.stopped_in_call;
        early += sparse.log.find("message") != std::string::npos ? 1U : 0U;
    }
    // The scripts reach the cases that they are meant to test. With fewer scripts the shares mean
    // little.
    if (!replay && count >= 1000) {
        CHECK(connects > count / 2);
        CHECK(stable > count / 10);
        CHECK(refused > count / 20);
        CHECK(early > count / 4);
        CHECK(drains > count / 4);
        CHECK(late > count / 20);
        CHECK(behind > count / 50);
        CHECK(recycled > count / 100);
        CHECK(stopped > count / 20);
    }
}
