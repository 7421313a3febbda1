// SPDX-License-Identifier: MIT
// Goal: a sender and a receiver deliver each operation exactly once under any two faults, and
// deliver all of them once the faults end. Method: sim::exhaust over SenderCore, ReceiverCore and a
// connection that is cut, or that loses, repeats and reorders messages. The owner of the receiver
// core acts as Receiver does.
#include <belay/session/detail/receiver_core.hpp>
#include <belay/session/detail/sender_core.hpp>
#include <belay/sim/exhaust.hpp>

#include <array>
#include <vector>

#include "support/catch.hpp"
#include "support/sim/left_out.hpp"

using namespace belay;
using namespace belay_test;

namespace session_exploration {

constexpr Id store_id{std::byte{9}};
constexpr Id journal_id{std::byte{1}};

/// The content of the sender's disk.
struct Medium {
    std::uint64_t base = 1;
    std::uint64_t last = 2;
    std::uint32_t run = 1;
    Id pin = no_id;
};

/// The journal of the state that is explored now. A SenderCore refers to it across copies.
struct ModelLog {
    Medium* m = nullptr;
    bool is_full = false;
    std::array<std::byte, 2> body{};

    const Id& journal_id() const noexcept { return session_exploration::journal_id; }
    std::uint32_t run() const noexcept { return m->run; }
    std::uint32_t salt() const noexcept { return 7; }
    const Id& store_pin() const noexcept { return m->pin; }
    std::error_code pin_store(const Id& id) noexcept {
        m->pin = id;
        if (is_full) return std::make_error_code(std::errc::no_space_on_device);
        return {};
    }
    std::uint64_t base() const noexcept { return m->base; }
    std::uint64_t last() const noexcept { return m->last; }
    std::uint64_t durable() const noexcept { return m->last; }
    Result<std::uint64_t> append(BytesView) noexcept { return ++m->last; }
    std::error_code commit() noexcept { return {}; }
    Result<BytesView> read(std::uint64_t number) {
        body[0] = static_cast<std::byte>(number);
        return BytesView{body};
    }
    std::uint32_t salt_of(std::uint64_t) const noexcept { return 7; }
    Result<std::uint64_t> check(std::uint64_t number) const {
        std::uint64_t check = journal_format::first_check(journal_id());
        for (std::uint64_t i = 1; i <= number; ++i) {
            const std::array b{static_cast<std::byte>(i), std::byte{}};
            check = journal_format::next_check(check, b, 7);
        }
        return check;
    }
    std::error_code ack(std::uint64_t up_to) noexcept {
        m->base = std::max(m->base, up_to + 1);
        return {};
    }
    std::error_code failed() const noexcept { return {}; }
};
static_assert(LogLike<ModelLog>);
ModelLog the_log;

using Sender = belay::detail::SenderCore<ModelLog>;
using Receiver = belay::detail::ReceiverCore;

struct Cores {
    Sender sender{the_log, {.id = Id{std::byte{3}}}};
    Receiver receiver{store_id, {.number_window = 2}, true};
};

struct Connection {
    enum class Phase { expecting_hello, pending, attached, closed };
    std::uint32_t id = 0;
    Phase phase = Phase::expecting_hello;
    session_format::Hello hello{};
    std::vector<Bytes> up{};    // messages to the receiver
    std::vector<Bytes> down{};  // messages to the sender
};

struct SessionModel {
    bool faithful = true;  // what arrives is a prefix of what was sent
    int faults = 2;        // that may still happen
    Cores core{};
    Medium medium{};
    std::optional<Progress> record{};  // the durable record of the ledger
    std::array<int, 4> effects{};      // durable effects of each operation
    std::array<int, 4> staged{};       // the same, with the effects that are not committed
    std::vector<Connection> connections{};
    bool connected = false;  // the sender uses the last connection
    std::uint32_t made = 0;

    void step(sim::Choice& c) {
        the_log.m = &medium;
        the_log.is_full = false;
        switch (c.choose(
            {"connect", "send", "arrive", "answer", "commit", "time out", "append", "fault"})) {
            case 0:
                connect(c);
                break;
            case 1:
                send(c);
                break;
            case 2:
                if (!connected || connections.back().up.empty()) return c.impossible();
                arrive(connections.size() - 1);
                break;
            case 3:
                answer(c);
                break;
            case 4:
                if (!has_staged()) return c.impossible();
                commit();
                acknowledge();
                break;
            case 5:
                if (!is_silent() || settled()) return c.impossible();
                hang_up();
                break;
            case 6:
                if (medium.last == 3) return c.impossible();
                c.unfair();
                ++medium.last;
                break;
            default:
                c.unfair();
                return fault(c);
        }
        check(c);
    }
    void fault(sim::Choice& c) {
        switch (c.choose({"cut", "receiver restarts", "sender restarts", "arrive late", "lose",
                          "repeat", "swap"})) {
            case 0: {
                if (!connected || faults == 0) return c.impossible();
                std::vector<Bytes>& up = connections.back().up;
                up.resize(c.choose("messages arrive", up.size() + 1));
                hang_up();
                break;
            }
            case 1:
                if (faults == 0) return c.impossible();
                core.receiver = Cores{}.receiver;
                connections.clear();
                staged = effects;
                core.sender.close();
                connected = false;
                break;
            case 2:
                if (faults == 0) return c.impossible();
                if (connected) hang_up();
                ++medium.run;
                core.sender = Cores{}.sender;
                break;
            case 3: {
                const std::size_t old = connections.size() - (connected ? 1 : 0);
                if (old == 0) return c.impossible();
                const std::size_t i = c.choose("of connection", old);
                arrive(i);
                forget_silent();
                return check(c);  // this is no fault, because the message was sent before
            }
            default:
                if (faithful || !connected || faults == 0) return c.impossible();
                if (!damage(c)) return c.impossible();
                break;
        }
        --faults;
        check(c);
    }
    bool damage(sim::Choice& c) {
        const bool upwards = c.choose({"upwards", "downwards"}) == 0;
        std::vector<Bytes>& direction = upwards ? connections.back().up : connections.back().down;
        switch (c.choose({"lose it", "repeat it", "swap two"})) {
            case 0:
                if (direction.empty()) return false;
                direction.erase(direction.begin());
                return true;
            case 1:
                if (direction.empty()) return false;
                direction.insert(direction.begin(), Bytes{direction.front()});
                return true;
            default:
                if (direction.size() < 2) return false;
                std::swap(direction[0], direction[1]);
                return true;
        }
    }

    // ---- the sender's owner --------------------------------------------------------------------

    void connect(sim::Choice& c) {
        if (connected || blocked() || settled()) return c.impossible();
        Bytes out;
        static_cast<void>(core.sender.hello(out));
        connections.push_back({.id = ++made});
        connections.back().up.push_back(std::move(out));
        connected = true;
    }
    void send(sim::Choice& c) {
        if (!connected || !core.sender.wants_to_send()) return c.impossible();
        Bytes out;
        c.require(!core.sender.fill(out, 1), "the journal can be read");
        if (!out.empty()) connections.back().up.push_back(std::move(out));
    }
    void answer(sim::Choice& c) {
        if (!connected || connections.back().down.empty()) return c.impossible();
        Connection& it = connections.back();
        const Bytes message = std::move(it.down.front());
        it.down.erase(it.down.begin());
        Bytes reply;
        const std::error_code error = core.sender.take(message, reply);
        c.result(error.value());
        if (!reply.empty()) it.up.push_back(std::move(reply));
        if (error) hang_up();
    }
    [[nodiscard]] bool is_silent() const {
        return connected && connections.back().up.empty() && connections.back().down.empty() &&
               !core.sender.wants_to_send() && !has_staged();
    }
    void hang_up() {
        core.sender.close();
        connections.back().down.clear();
        connected = false;
        forget_silent();
    }
    void forget_silent() {
        std::erase_if(connections, [&](const Connection& it) {
            if ((connected && it.id == connections.back().id) || !it.up.empty()) return false;
            core.receiver.ended(it.id);
            return true;
        });
    }
    [[nodiscard]] bool blocked() const { return core.sender.blocked() != Blocked::none; }

    // ---- the receiver's owner ------------------------------------------------------------------

    void arrive(std::size_t index) {
        Connection& it = connections[index];
        const Bytes message = std::move(it.up.front());
        it.up.erase(it.up.begin());
        session_format::FrameReader reader{message, 1U << 20U};
        while (it.phase != Connection::Phase::closed) {
            const auto next = reader.next();
            if (!next || !*next) return;
            take(it, **next);
        }
    }
    void take(Connection& it, const session_format::Frame& frame) {
        using session_format::FrameType;
        if (it.phase == Connection::Phase::expecting_hello) {
            if (frame.type == FrameType::hello) return on_hello(it, frame);
            return refuse(it, SessionErrc::protocol, 0);
        }
        if (frame.type == FrameType::start && frame.number == it.hello.attach) {
            if (it.phase == Connection::Phase::pending) on_start(it);
            return;
        }
        if (frame.type == FrameType::data && it.phase == Connection::Phase::attached) {
            return on_data(it, frame);
        }
        if (frame.type == FrameType::error) return close(it);
        refuse(it, SessionErrc::protocol, 0);
    }
    void on_hello(Connection& it, const session_format::Frame& frame) {
        it.hello = *session_format::read_hello(frame);
        const auto answer = core.receiver.check_hello(it.hello, record);
        if (answer.greeting == Receiver::Greeting::reject) {
            return refuse(it, answer.error, answer.detail);
        }
        if (answer.greeting == Receiver::Greeting::pend) {
            for (Connection& other : connections) {
                if (other.phase != Connection::Phase::pending) continue;
                refuse(other, SessionErrc::superseded, it.hello.attach);
            }
            it.phase = Connection::Phase::pending;
            return welcome(it, core.receiver.pend(it.hello, record));
        }
        fence(it);
        commit();
        it.phase = Connection::Phase::attached;
        welcome(it, core.receiver.attach(it.id, it.hello, record.value_or(Progress{})));
    }
    void on_start(Connection& it) {
        const auto answer = core.receiver.check_hello(it.hello, record);
        if (answer.greeting != Receiver::Greeting::pend) {
            const bool rejected = answer.greeting == Receiver::Greeting::reject;
            return refuse(it, rejected ? answer.error : SessionErrc::superseded, answer.detail);
        }
        fence(it);
        commit();
        record = Receiver::adoption(it.hello);
        core.receiver.adopted(it.id, it.hello, *record);
        it.phase = Connection::Phase::attached;
        acknowledge();
    }
    void on_data(Connection& it, const session_format::Frame& frame) {
        switch (core.receiver.check_data(it.id, frame)) {
            case Receiver::Data::skip:
                if (!has_staged()) acknowledge();
                return;
            case Receiver::Data::gap:
                return refuse(it, SessionErrc::gap, core.receiver.progress().applied + 1);
            case Receiver::Data::protocol:
                return refuse(it, SessionErrc::protocol, 4);
            case Receiver::Data::apply:
                break;
        }
        // A ledger applies an operation by its content, too.
        ++staged[static_cast<std::size_t>(frame.payload[0]) % staged.size()];
        core.receiver.applied(core.receiver.progress_after(frame));
    }
    [[nodiscard]] bool has_staged() const { return staged != effects; }
    void commit() {
        if (!has_staged()) return;
        effects = staged;
        record = core.receiver.progress();
    }
    void acknowledge() {
        for (Connection& it : connections) {
            if (it.phase != Connection::Phase::attached) continue;
            const belay::detail::Credit credit = core.receiver.grant();
            Bytes out;
            session_format::append_ack(out, core.receiver.progress().applied, credit.number_limit,
                                       credit.byte_limit);
            reply(it, std::move(out));
        }
    }
    void fence(const Connection& newest) {
        for (Connection& other : connections) {
            if (other.id == newest.id || other.phase == Connection::Phase::expecting_hello ||
                other.phase == Connection::Phase::closed) {
                continue;
            }
            refuse(other, SessionErrc::superseded, newest.hello.attach);
        }
    }
    void welcome(Connection& it, const session_format::Welcome& g) {
        Bytes out;
        session_format::append_welcome(out, g);
        reply(it, std::move(out));
    }
    void refuse(Connection& it, SessionErrc code, std::uint64_t number) {
        Bytes out;
        const bool names =
            code == SessionErrc::store_changed || code == SessionErrc::unknown_journal;
        session_format::append_error(out, code, number, names ? BytesView{store_id} : BytesView{});
        reply(it, std::move(out));
        close(it);
    }
    void close(Connection& it) {
        core.receiver.ended(it.id);
        it.phase = Connection::Phase::closed;
    }
    /// Only the sender's connection has a reader.
    void reply(Connection& it, Bytes out) {
        if (connected && it.id == connections.back().id) it.down.push_back(std::move(out));
    }

    // ---- what must hold ------------------------------------------------------------------------

    void check(sim::Choice& c) const {
        const std::uint64_t applied = record ? record->applied : 0;
        for (std::size_t i = 1; i < effects.size(); ++i) {
            c.require(effects[i] == (i <= applied ? 1 : 0), "each operation has effect once");
            c.require(staged[i] <= 1, "no operation has effect twice");
        }
        c.require(core.sender.acked() <= applied, "what is acknowledged is durable");
        c.require(!faithful || !blocked(), "no cut and no restart blocks the sender");
        int attached = 0;
        for (const Connection& it : connections)
            attached += it.phase == Connection::Phase::attached;
        c.require(attached <= 1, "one connection counts");
        c.result(core.sender.acked());
        c.result(applied);
        if (blocked()) c.reach("blocked");
        if (settled()) c.reach("settled");
    }
    void digest(sim::Digest& d) const {
        the_log.m = const_cast<Medium*>(&medium);
        core.sender.each_field(Instant{}, d);
        core.receiver.each_field(Instant{}, d);
        d(faults);
        d(medium.base);
        d(medium.last);
        d(medium.run);
        d(BytesView{medium.pin});
        d(record.has_value());
        if (record) d(record->applied), d(record->attach), d(record->check);
        for (const int n : staged) d(n);
        d(connected);
        d(made);
        d(connections.size());
        for (const Connection& it : connections) {
            d(it.id);
            d(it.phase);
            d(it.hello.attach);
            for (const auto* direction : {&it.up, &it.down}) {
                d(direction->size());
                for (const Bytes& message : *direction) d(BytesView{message});
            }
        }
    }
    [[nodiscard]] bool settled() const { return medium.base > medium.last || blocked(); }
    [[nodiscard]] std::size_t bytes() const { return connections.size() * 400; }
};

/// A sender whose peer sends arbitrary messages.
struct SenderAlone {
    Sender core{the_log, {.id = Id{std::byte{3}}}};
    Medium medium{};
    LeftOut left_out{};

    void step(sim::Choice& c) {
        the_log.m = &medium;
        the_log.is_full = false;
        Bytes out;
        const std::size_t chosen = c.choose({"hello", "close", "welcome", "ack", "error", "fill"});
        if ((chosen == 0) != (core.phase() == Sender::Phase::closed)) return c.impossible();
        switch (chosen) {
            case 0:
                c.require(!core.hello(out), "it greets");
                break;
            case 1:
                core.close();
                break;
            case 2:
                out = welcome(c);
                c.result(take(out).value());
                break;
            case 3:
                session_format::append_ack(out, c.choose("number", 2), 1 + c.choose("limit", 2),
                                           2 + 2 * c.choose("bytes", 2));
                if (core.phase() == Sender::Phase::adopting) {
                    the_log.is_full = c.choose({"space", "a full disk"}) == 1;
                }
                c.result(take(out).value());
                break;
            case 4: {
                constexpr SessionErrc codes[] = {SessionErrc::gap, SessionErrc::fenced,
                                                 SessionErrc::overloaded};
                session_format::append_error(out, codes[c.choose("code", 3)], 5);
                c.result(take(out).value());
                break;
            }
            default:
                if (!core.wants_to_send()) return c.impossible();
                c.result(core.fill(out, 1).value());
        }
        c.result(BytesView{out});
        Sender copy = core;
        c.result(copy.take_retry_after());
        c.result(core.blocked());
        c.result(medium.base);
        c.result(BytesView{medium.pin});
    }
    Bytes welcome(sim::Choice& c) {
        session_format::Welcome g;
        g.attach = (std::uint64_t{1} << 32U) | (1 + c.choose("attach", 2));
        g.payload_bytes_max = c.choose({"large", "small"}) == 0 ? 8 : 1;
        g.store = c.choose({"this store", "another"}) == 0 ? store_id : Id{std::byte{8}};
        g.known = c.choose({"known", "new"}) == 0;
        if (g.known) g.applied = std::min(medium.base - 1 + c.choose("more", 2), medium.last);
        the_log.is_full = g.known && c.choose({"space", "a full disk"}) == 1;
        g.check = g.known ? *the_log.check(g.applied) : 0;
        g.number_limit = g.known ? 2 : 0;
        g.byte_limit = g.known ? 2 : 0;
        Bytes out;
        session_format::append_welcome(out, g);
        return out;
    }
    std::error_code take(Bytes& message) {
        Bytes reply;
        const std::error_code error = core.take(message, reply);
        message = std::move(reply);
        if (error) core.close();
        return error;
    }
    void digest(sim::Digest& d) const {
        left_out.digest(core, Instant{}, d);
        d(medium.base);
        d(BytesView{medium.pin});
    }
};

/// A receiver whose peers send arbitrary messages, and whose store may fail at any call.
struct ReceiverAlone {
    Receiver core{store_id, {.number_window = 2, .byte_window = 2, .payload_bytes_max = 1}, true};
    LeftOut left_out{};

    void step(sim::Choice& c) {
        const std::size_t chosen = c.choose({"check", "attach", "adopt", "data", "grant", "ended"});
        std::uint32_t connection = 1;
        if (chosen != 0 && chosen != 4) connection += c.choose("connection", 2) != 0 ? 1U : 0U;
        session_format::Hello h{.attach = 1, .journal = journal_id};
        if (chosen < 4) h.attach += c.choose("number", chosen == 3 ? 3 : 2);
        if (chosen < 3 && c.choose({"this journal", "another"}) == 1) h.journal = Id{std::byte{2}};
        Progress settled{.journal = h.journal, .attach = 1, .check = 5};
        if (chosen == 1) settled.applied = c.choose("applied", 2);
        if (chosen == 0) {
            const auto a = core.check_hello(h, settled);
            c.result(a.greeting);
            c.result(a.error);
            c.result(a.detail);
        } else if (chosen == 1) {
            const auto g = core.attach(connection, h, settled);
            c.result(g.number_limit);
        } else if (chosen == 2) {
            core.adopted(connection, h, Receiver::adoption(h));
        } else if (chosen == 3) {
            const std::byte body{1};
            const session_format::Frame f{.number = h.attach, .payload = {&body, 1}};
            const Receiver::Data data = core.check_data(connection, f);
            c.result(data);
            const Progress after = core.progress_after(f);
            for (const std::uint64_t n : {after.attach, after.check}) c.result(n);
            c.result(BytesView{after.journal});
            if (data == Receiver::Data::apply) core.applied(after);
        } else if (chosen == 4) {
            const auto credit = core.grant();
            c.result(credit.number_limit);
            c.result(credit.byte_limit);
        } else {
            core.ended(connection);
            c.result(core.attached());
        }
    }
    void digest(sim::Digest& d) const { left_out.digest(core, Instant{}, d); }
};

}  // namespace session_exploration

TEST_CASE("Session's cores deliver each operation once after every sequence of two faults",
          "[session][exploration][property]") {
    using namespace session_exploration;
    const sim::ExhaustReport cut = sim::exhaust({.depth = 60}, SessionModel{});
    CHECK(cut);
    CHECK(cut.complete);
    CHECK_FALSE(cut.marks.contains("blocked"));
    SessionModel damaged;
    damaged.faithful = false;
    const sim::ExhaustReport all = sim::exhaust({.depth = 60}, damaged);
    CHECK(all);
    CHECK(all.complete);
}

TEST_CASE("The digests of SenderCore and ReceiverCore leave nothing out",
          "[session][exploration][property]") {
    using namespace session_exploration;
    CHECK(sim::exhaust({.depth = 4, .recheck_percent = 100}, SenderAlone{}));
    CHECK(undetected(SenderAlone{}, 5, 10'000) == "");
    CHECK(sim::exhaust({.depth = 4, .recheck_percent = 100}, ReceiverAlone{}));
    CHECK(undetected(ReceiverAlone{}, 5) == "");
}
