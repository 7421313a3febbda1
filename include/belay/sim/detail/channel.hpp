// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/channel.hpp
/// Channel: one simulated connection, from its dialling until both kernels have forgotten it.
#pragma once

#include <algorithm>     // std::min
#include <system_error>  // std::errc

#include <belay/core/crc32c.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/sim/detail/segment.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// A connection between two hosts, modelled on TCP with whole messages.
///
/// Ends are numbered: end 0 has dialled end 1. `pipe_[i]` carries what end i sends. All random
/// choices come from the connection's own generators, so other events do not change them. The only
/// user code that runs in here is a listener's, and it runs last.
class Channel : public belay::detail::Counted {
public:
    Channel(Fabric& fabric, Station& from, Station& to, std::uint16_t port, std::uint64_t key)
        : fabric_{&fabric}, port_{port} {
        end_[0].station = &from;
        end_[1].station = &to;
        for (int i = 0; i < 2; ++i) {
            pipe_[i].channel = this;
            pipe_[i].from = i;
            pipe_[i].bits = Random{Seed{mix(key, static_cast<std::uint64_t>(i))}};
            pipe_[i].blocked = i == 0 ? fabric.blocked(from, to) : fabric.blocked(to, from);
        }
        choose_latency();
        end_[0].exists = true;
        note(Mark::dial, 0, port);
        push(0, SegmentKind::syn);
    }

    // ---- for the process at one end ------------------------------------------------------------

    /// Attaches a process: from now on it receives the events of the connection through `link`.
    void attach(int side, const Link<Bytes>& link) {
        End& e = end_[side];
        if (!e.exists) return static_cast<void>(link.closed(reset_failure(e)));
        e.link = link;
        e.attached = true;
        if (e.up) link.opened();
        read(side);
    }
    [[nodiscard]] SendResult send(int side, const Bytes& message) {
        End& e = end_[side];
        Pipe& out = pipe_[side];
        if (!can_send(e)) return SendResult::down;
        const std::size_t cost = cost_of(message);
        if (out.unread_bytes != 0 && out.unread_bytes + cost > window_of(out)) {
            e.starved = true;
            return SendResult::busy;
        }
        note(Mark::send, side, std::uint64_t{belay::part::crc32c(message)} << 32 | message.size());
        if (cut_) return SendResult::sent;
        out.unread_bytes += cost;
        push(side, SegmentKind::data, message);
        if (fabric_->watches_messages) [[unlikely]]
            watch(side, message);
        return SendResult::sent;
    }
    void ping(int side) {
        if (!can_send(end_[side]) || cut_) return;
        if (!std::exchange(pipe_[side].ping_unread, true)) push(side, SegmentKind::ping);
    }
    /// The machine can accept messages again.
    void resume_reading(int side) {
        end_[side].full = false;
        read(side);
    }
    /// Sets the limit of received messages. A longer one ends the connection, and is not delivered.
    void limit_messages(int side, std::size_t bytes) noexcept {
        end_[side].message_bytes_max = bytes;
    }
    /// Limits the window to `bytes`.
    void limit_output(int side, std::size_t bytes) noexcept { pipe_[side].bytes_max = bytes; }
    /// Closes the connection after all messages that were sent.
    void close(int side) {
        End& e = end_[side];
        if (!can_send(e)) return;
        e.closing = true;
        if (!cut_) push(side, SegmentKind::fin);
    }
    /// The process closes the connection, or dies: its socket is gone at once. All segments under
    /// way still arrive, or only the first ones. Small messages of this instant are lost, unless
    /// close() was called before. After that the other end receives the end of the connection. In a
    /// partition it receives nothing.
    void abort(int side) {
        End& e = end_[side];
        Pipe& out = pipe_[side];
        e.attached = false;
        e.link = {};
        e.inbox.clear();
        if (!std::exchange(e.exists, false) || fabric_ == nullptr) return;
        note(Mark::hang_up, side, 0);
        if (cut_) return;  // the other end's reset is under way
        if (!e.closing) drop_unwritten(out.flying, fabric_->engine.now());
        if (out.blocked) {
            out.flying.clear();
        } else if (e.fin_seen) {
            if (!e.closing) push(side, SegmentKind::fin);
        } else if (!e.ended) {
            keep_front(out.flying, out.bits);
            push(side, SegmentKind::reset);
        }
    }
    /// The process runs (again), and reads what its kernel has buffered.
    void read(int side) {
        End& e = end_[side];
        while (can_read(e) && !e.inbox.empty()) {
            if (!report(side, e.inbox[0])) return;
            static_cast<void>(e.inbox.pop());
        }
    }
    /// Passes the connections that the kernel has completed to the process of a host.
    static void accept_all(Engine& engine, Station& station) {
        for (auto& [port, listener] : station.listeners) {
            while (!listener.backlog.empty() && !station.frozen) {
                belay::detail::Ref<Channel> next = std::move(listener.backlog.front());
                listener.backlog.erase(listener.backlog.begin());
                const Engine::Inside inside{engine};
                listener.on_accept(std::move(next));
            }
        }
    }

    // ---- for the network -----------------------------------------------------------------------

    /// Breaks the connection on the way: both ends receive a reset, after a part of the segments
    /// under way.
    void cut() {
        if (std::exchange(cut_, true)) return;
        note(Mark::cut, 0, 0);
        for (Pipe& p : pipe_) {
            keep_front(p.flying, p.bits);
            push(p.from, SegmentKind::reset);
        }
    }
    /// Breaks one end without notifying the other.
    void vanish(int side) {
        End& e = end_[side];
        if (!std::exchange(e.exists, false)) return;
        note(Mark::cut, side, 1);
        // A reset from the way itself still arrives.
        if (!cut_) pipe_[side].flying.clear();
        keep_front(e.inbox, pipe_[side].bits);
        e.inbox.push({.kind = SegmentKind::reset, .due = fabric_->engine.now(), .bytes = {}});
        e.ended = true;
        read(side);
    }
    /// Holds what a host sends.
    void block(const Station& from) noexcept {
        for (Pipe& p : pipe_) {
            if (end_[p.from].station != &from) continue;
            p.blocked = true;
            // The kernel of a dead process does not retransmit its segments.
            if (!end_[p.from].exists && !cut_) p.flying.clear();
        }
    }
    void unblock(const Station& from) {
        for (Pipe& p : pipe_) {
            if (end_[p.from].station != &from || !p.blocked) continue;
            const End& other = end_[1 - p.from];
            p.blocked = false;
            p.held_until = after(fabric_->engine.now(), p.latency->draw(p.bits));
            const bool owing = end_[p.from].owes_reset && other.exists && !other.ended;
            if (owing) push(p.from, SegmentKind::reset);
            if (const std::size_t cost = std::exchange(pipe_[1 - p.from].unacknowledged_bytes, 0)) {
                free_window(p.from, cost);
            }
            schedule(p);
        }
    }
    void unblock() {
        for (const End& e : end_) unblock(*e.station);
    }
    /// Looks up the latency of both directions again.
    void choose_latency() noexcept {
        for (int i = 0; i < 2; ++i) {
            pipe_[i].latency = &fabric_->latency_of(*end_[i].station, *end_[1 - i].station);
        }
    }
    /// The world is gone. The processes may keep their handles.
    void orphan() noexcept { fabric_ = nullptr; }

    /// Whether no further event is possible.
    [[nodiscard]] bool over() const noexcept {
        const auto empty = [](const Pipe& p) { return !p.scheduled && p.flying.empty(); };
        return !end_[0].exists && !end_[1].exists && empty(pipe_[0]) && empty(pipe_[1]);
    }
    [[nodiscard]] const End& end(int side) const noexcept { return end_[side]; }

private:
    // The cost of a message in the window in addition to its bytes, so that empty ones are bounded
    // too.
    static constexpr std::size_t overhead_bytes = 16;
    static constexpr std::size_t backlog_max = 128;

    static std::size_t cost_of(const Bytes& message) noexcept {
        return message.size() + overhead_bytes;
    }
    static Failure reset_failure(const End& e) noexcept {
        return Failure::from(std::make_error_code(e.up ? std::errc::connection_reset
                                                       : std::errc::connection_refused));
    }
    [[nodiscard]] std::size_t window_of(const Pipe& p) const noexcept {
        return std::min(fabric_->window_bytes, p.bytes_max);
    }
    [[nodiscard]] bool can_send(const End& e) const noexcept {
        return fabric_ != nullptr && e.exists && e.up && !e.closing && !e.ended;
    }
    [[nodiscard]] static bool can_read(const End& e) noexcept {
        return e.attached && !e.full && !e.station->frozen;
    }
    void note(Mark mark, int side, std::uint64_t facts) noexcept {
        fabric_->engine.note(mark, end_[side].station->index, facts,
                             [&] { return end_[1 - side].station->index; });
    }
    void watch(int side, const Bytes& message) {
        const std::uint64_t n = fabric_->cut_one_in;
        if (n != 0 && uniform_upto(pipe_[side].bits, n - 1) == 0) cut();
        if (fabric_->on_send) fabric_->on_send(*this, side, message);
    }

    void push(int from, SegmentKind kind, Bytes bytes = {}) {
        Pipe& p = pipe_[from];
        // A segment with an earlier time than the one before it waits for that in the ring.
        const Instant now = fabric_->engine.now();
        const Instant due = after(now, p.latency->draw(p.bits));
        p.flying.push({kind, due, std::move(bytes), now});
        schedule(p);
    }
    void schedule(Pipe& p) {
        if (p.scheduled || p.blocked || p.flying.empty()) return;
        p.scheduled = true;
        Engine& engine = fabric_->engine;
        engine.add(std::max(p.flying[0].due, p.held_until), &Channel::pump, &p,
                   engine.shuffled() ? link_of(p) : 0);
    }
    /// Returns the number of a direction of a link: its messages stay in their order.
    [[nodiscard]] std::uint64_t link_of(const Pipe& p) const noexcept {
        const std::uint64_t from = end_[p.from].station->index;
        return std::uint64_t{1} << 63 | from << 24 | end_[1 - p.from].station->index;
    }
    static void pump(void* object) {
        Pipe& p = *static_cast<Pipe*>(object);
        Channel& c = *p.channel;
        p.scheduled = false;
        if (p.blocked || p.flying.empty()) return;
        if (std::max(p.flying[0].due, p.held_until) > c.fabric_->engine.now()) {
            return c.schedule(p);
        }
        Segment s = p.flying.pop();
        c.schedule(p);
        c.arrive(1 - p.from, std::move(s));
    }

    void arrive(int side, Segment&& s) {
        End& e = end_[side];
        note(Mark::arrive, side, static_cast<std::uint64_t>(s.kind) << 32 | s.bytes.size());
        if (s.kind == SegmentKind::syn) return accept();
        if (!e.exists) return answer_unknown_socket(side, s.kind);
        if (s.kind == SegmentKind::reset) {
            if (std::exchange(e.ended, true)) return;
            keep_front(e.inbox, pipe_[1 - side].bits);
        }
        // A segment that is read at once need not be buffered first.
        const bool at_once = can_read(e) && e.inbox.empty();
        if (at_once && (report(side, s) || !e.exists)) return;
        e.inbox.push(std::move(s));
        if (!at_once) read(side);
    }
    /// A kernel answers for a socket that it does not know, but never to a reset.
    void answer_unknown_socket(int side, SegmentKind kind) {
        if (kind == SegmentKind::reset || !end_[1 - side].exists) return;
        if (!std::exchange(end_[side].owes_reset, true)) push(side, SegmentKind::reset);
    }
    /// Handles a connection request at end 1.
    void accept() {
        const belay::detail::Ref<Channel> alive = belay::detail::Ref<Channel>::share(this);
        Station& s = *end_[1].station;
        const auto listener = s.listeners.find(port_);
        if (!s.alive || s.refuses || listener == s.listeners.end() ||
            listener->second.backlog.size() >= backlog_max) {
            note(Mark::refuse, 1, port_);
            return answer_unknown_socket(1, SegmentKind::syn);
        }
        note(Mark::accept, 1, port_);
        end_[1].exists = end_[1].up = true;
        push(1, SegmentKind::ack);
        listener->second.backlog.push_back(alive);
        accept_all(fabric_->engine, s);
    }

    /// Delivers a segment to the machine.   Returns: false if the machine is full, and the segment
    /// stays.
    bool report(int side, Segment& s) {
        End& e = end_[side];
        Pipe& in = pipe_[1 - side];
        switch (s.kind) {
            case SegmentKind::ack:
                e.up = true;
                e.link.opened();
                return true;
            case SegmentKind::data: {
                if (s.bytes.size() > e.message_bytes_max) return refuse(side), false;
                const std::size_t cost = cost_of(s.bytes);
                e.full = e.link.received(std::move(s.bytes)) == belay::driver::Post::full;
                if (!e.full) free_window(side, cost);
                return !e.full;
            }
            case SegmentKind::ping:
                in.ping_unread = false;
                if (can_send(e) && !cut_) push(side, SegmentKind::pong);
                e.link.pong(false);
                return true;
            case SegmentKind::pong:
                e.link.pong();
                return true;
            case SegmentKind::window:
                in.window_unread = false;
                if (std::exchange(e.starved, false)) e.link.writable();
                return true;
            case SegmentKind::fin:
                e.fin_seen = e.ended = true;
                e.link.closed(failure_of(LinkErrc::closed_by_peer));
                return true;
            default:
                e.link.closed(reset_failure(e));
                return true;
        }
    }
    /// Ends the connection, because a message is longer than the process accepts. A framing over a
    /// stream of bytes does the same.
    void refuse(int side) {
        const Link<Bytes> link = end_[side].link;
        abort(side);
        link.closed({.cause = Cause::protocol});
    }
    /// Frees space in the window after the process has read, and notifies the peer if it waits for
    /// that.
    void free_window(int side, std::size_t cost) {
        if (pipe_[side].blocked) {
            // The acknowledgement does not arrive at the peer, which keeps the bytes.
            pipe_[1 - side].unacknowledged_bytes += cost;
            return;
        }
        const std::size_t unread = pipe_[1 - side].unread_bytes -= cost;
        if (!end_[1 - side].starved || unread > window_of(pipe_[1 - side]) / 2) return;
        if (!end_[side].exists || cut_) return;
        if (!std::exchange(pipe_[side].window_unread, true)) push(side, SegmentKind::window);
    }

    Fabric* fabric_;
    const std::uint16_t port_;
    bool cut_ = false;
    End end_[2];
    Pipe pipe_[2];
};

}}}  // namespace belay::sim::detail
