// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/channel.hpp
/// Channel: one simulated connection, from its dialling until both kernels have forgotten it.
#pragma once

#include <algorithm>     // std::min
#include <span>          // std::span
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
        : fabric_{&fabric}, request_{fabric.engine.now(), from.dials, port} {
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
        end_[0].port = static_cast<std::uint16_t>(ephemeral_first + from.dials % ephemeral_count);
        end_[1].port = port;
        note(Mark::dial, 0, port);
        push(0, SegmentKind::syn);
    }

    /// Sets the port that the process has chosen.   Pre: just dialled.
    void choose_port(std::uint16_t port, bool reuses_address) noexcept {
        end_[0].port = port;
        end_[0].chose_port = true;
        end_[0].reuses_address = reuses_address;
    }

    // ---- for the process at one end ------------------------------------------------------------

    /// Attaches a process: from now on it receives the events of the connection through `link`.
    void attach(int side, const Link<Bytes>& link) {
        End& e = end_[side];
        if (!e.exists && e.inbox.empty()) return static_cast<void>(link.closed(e.reset_failure()));
        e.link = link;
        e.attached = true;
        if (e.up) link.opened();
        read(side);
    }
    [[nodiscard]] SendResult send(int side, const Bytes& message) {
        End& e = end_[side];
        Pipe& out = pipe_[side];
        if (!can_send(e)) return SendResult::down;
        const std::size_t cost = message.size() + overhead_bytes;
        if (out.unread_bytes != 0 && out.unread_bytes + cost > out.window(fabric_->window_bytes)) {
            e.starved = true;
            return SendResult::busy;
        }
        note(Mark::send, side, std::uint64_t{belay::part::crc32c(message)} << 32 | message.size(),
             message);
        ++fabric_->sends;
        if (cut_) return SendResult::sent;
        out.unread_bytes += cost;
        push(side, SegmentKind::data, message);
        if (fabric_->watches_messages) [[unlikely]]
            watch(side, message);
        return SendResult::sent;
    }
    void ping(int side) {
        const End& e = end_[side];
        if (cut_ || !(e.is_stream ? connected(e) : can_send(e))) return;
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
        e.closed_first = (side == 1 || e.chose_port) && !e.fin_seen;
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
        e.is_held = false;
        e.link = {};
        e.socket = nullptr;
        if (e.lingers) return;  // it is the kernel's
        const bool unread = e.is_stream && !e.inbox.empty();
        e.inbox.clear();
        if (!std::exchange(e.exists, false) || fabric_ == nullptr) return;
        note(Mark::hang_up, side, 0);
        if (cut_) return;  // the other end's reset is under way
        if (!e.closing && !e.is_stream) drop_unwritten(out.flying, fabric_->engine.now());
        if (out.blocked) {
            lose(out);
        } else if (e.fin_seen && !unread) {
            if (!e.closing) push(side, SegmentKind::fin);
        } else if (!e.ended) {
            keep_front(out.flying, out.bits);
            push(side, SegmentKind::reset);
        }
    }
    /// The process dies. Its kernel ends a stream of bytes as if the process had closed it. In a
    /// partition the kernel sends nothing any more, as if the power had failed.
    void die(int side) {
        const ByteSocket* const socket = end_[side].socket;
        const bool closes = socket != nullptr && !socket->resets_at_end() && !pipe_[side].blocked;
        closes ? release(side) : abort(side);
    }
    /// The process runs (again), and reads what its kernel has buffered.
    void read(int side) {
        End& e = end_[side];
        while (e.can_read() && !e.inbox.empty()) {
            if (!report(side, e.inbox[0])) return;
            static_cast<void>(e.inbox.pop());
        }
    }
    /// Takes the next connection of a backlog for its process.   Pre: one waits.
    static belay::detail::Ref<Channel> take(Station::Listener& listener) noexcept {
        belay::detail::Ref<Channel> next = std::move(listener.backlog.front());
        listener.backlog.erase(listener.backlog.begin());
        next->end_[1].is_held = true;
        return next;
    }
    /// Passes the connections that the kernel has completed to the process of a host.
    static void accept_all(Engine& engine, Station& station) {
        for (auto& [port, listener] : station.listeners) {
            if (listener.on_waiting) {
                if (!listener.backlog.empty()) listener.on_waiting();
                continue;
            }
            while (!listener.backlog.empty() && station.accepts()) {
                belay::detail::Ref<Channel> next = take(listener);
                const Engine::Inside inside{engine};
                listener.on_accept(std::move(next));
            }
        }
    }

    // ---- for a socket that carries a stream of bytes -------------------------------------------

    /// Attaches a socket: from now on it is notified of every change at its end.
    void attach_stream(int side, ByteSocket& socket) noexcept {
        end_[side].is_stream = true;
        end_[side].socket = &socket;
    }
    /// Sends a front part of `bytes`, as much as the window has space for.   Returns: its size; 0
    /// if there is no space, and changed() follows when there is.
    [[nodiscard]] std::size_t write(int side, BytesView bytes) {
        End& e = end_[side];
        Pipe& out = pipe_[side];
        if (!can_send(e) || bytes.empty()) return 0;
        const std::size_t taken = std::min(out.space(fabric_->window_bytes), bytes.size());
        if (taken == 0) return e.starved = true, 0;
        // A kernel cuts where it likes. The two parts arrive at different times.
        const auto cut =
            static_cast<std::size_t>((out.bits() & 1) != 0 ? uniform_upto(out.bits, taken - 1) : 0);
        if (cut != 0 &&
            out.unread_bytes + taken + 2 * overhead_bytes <= out.window(fabric_->window_bytes)) {
            const BytesView front = bytes.first(cut);
            static_cast<void>(send(side, Bytes(front.begin(), front.end())));
            bytes = bytes.subspan(cut, taken - cut);
        }
        bytes = bytes.first(std::min(taken, bytes.size()));
        static_cast<void>(send(side, Bytes(bytes.begin(), bytes.end())));
        return taken;
    }
    /// Returns whether write() would send something; if not, changed() follows when it would.
    [[nodiscard]] bool writable(int side) noexcept {
        if (!can_send(end_[side])) return false;
        const bool has_space = pipe_[side].space(fabric_->window_bytes) != 0;
        if (!has_space) end_[side].starved = true;
        return has_space;
    }
    /// Moves what has arrived to `out`.   Returns: how much.
    [[nodiscard]] std::size_t read(int side, std::span<std::byte> out) {
        End& e = end_[side];
        std::size_t size = 0;
        while (size != out.size() && !e.inbox.empty()) {
            Bytes& first = e.inbox[0].bytes;
            const std::size_t left = first.size() - e.front_read;
            const std::size_t n = std::min(left, out.size() - size);
            std::copy_n(first.begin() + static_cast<std::ptrdiff_t>(e.front_read), n,
                        out.begin() + static_cast<std::ptrdiff_t>(size));
            size += n;
            e.front_read += n;
            const bool done = e.front_read == first.size();
            if (e.exists && !e.ended && fabric_ != nullptr) {
                free_window(side, done ? n + overhead_bytes : n);
            }
            if (!done) break;
            e.front_read = 0;
            static_cast<void>(e.inbox.pop());
        }
        return size;
    }
    /// The process has ended both directions. As on Linux, data that arrives then is answered by a
    /// reset.
    void refuse_data(int side) noexcept { end_[side].refuses_data = true; }
    /// Returns how much read() would move.
    [[nodiscard]] std::size_t readable(int side) noexcept { return end_[side].readable(); }
    /// The process closes its socket. The kernel sends what was written, and ends the connection
    /// gracefully, unless there is unread data.
    void release(int side) {
        End& e = end_[side];
        e.socket = nullptr;
        e.is_held = false;
        if (!e.exists || e.lingers || fabric_ == nullptr) return;
        if (!e.up || e.ended || !e.inbox.empty()) return abort(side);
        note(Mark::hang_up, side, 2);
        close(side);
        e.lingers = true;
        e.closed_at = fabric_->engine.now();
        e.forget_if_over(fabric_->engine.now());
    }
    /// The kernel has repeated a segment too often without an answer.
    void give_up(int side) {
        End& e = end_[side];
        if (!std::exchange(e.exists, false)) return;
        note(Mark::cut, side, 1);
        if (!cut_) lose(pipe_[side]);
        e.end_stream(std::errc::timed_out);
    }
    /// Returns since when the other kernel has not answered this end; never if it has.
    [[nodiscard]] Instant unanswered_since(int side) noexcept {
        Pipe& out = pipe_[side];
        return std::min(out.blocked ? out.repeated_since() : never, out.unanswered_since);
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
        if (!cut_) lose(pipe_[side]);
        if (e.is_stream) return e.end_stream(std::errc::connection_reset);
        e.inbox.push({.kind = SegmentKind::reset, .due = fabric_->engine.now(), .bytes = {}});
        e.ended = true;
        read(side);
    }
    /// Holds what a host sends.
    void block(const Station& from) {
        for (Pipe& p : pipe_) {
            if (end_[p.from].station != &from || p.blocked) continue;
            p.blocked = true;
            // The kernel of a dead process does not retransmit its segments.
            if (!end_[p.from].exists && !cut_) lose(p);
        }
    }
    void unblock(const Station& from) {
        for (Pipe& p : pipe_) {
            if (end_[p.from].station != &from || !p.blocked) continue;
            const End& other = end_[1 - p.from];
            expire();
            p.blocked = false;
            p.held_until = after(fabric_->engine.now(), p.latency->draw(p.bits));
            if (end_[p.from].is_stream && !p.flying.empty()) {
                const Segment& s = p.flying[0];
                p.held_until = std::max(
                    p.held_until, next_retry(s.sent, first_retry(s.kind), fabric_->engine.now()));
            }
            pipe_[1 - p.from].unanswered_since = never;
            const bool owing = end_[p.from].owes_reset && other.exists && !other.ended;
            if (owing) push(p.from, SegmentKind::reset);
            if (const std::size_t cost = std::exchange(pipe_[1 - p.from].unacknowledged_bytes, 0)) {
                free_window(p.from, cost);
            }
            schedule(p);
        }
    }
    /// Holds or releases what each end sends, as the partitions of the network are now.
    void follow_partitions() {
        for (int i = 0; i < 2; ++i) {
            const Station& from = *end_[i].station;
            fabric_->blocked(from, *end_[1 - i].station) ? block(from) : unblock(from);
        }
    }
    /// Looks up the latency of both directions again.
    void choose_latency() noexcept {
        for (int i = 0; i < 2; ++i) {
            pipe_[i].latency = &fabric_->links.latency_of(*end_[i].station, *end_[1 - i].station);
        }
    }
    /// The world is gone. The processes may keep their handles.
    void orphan() noexcept { fabric_ = nullptr; }

    /// Forgets the ends that their processes have closed, if their kernels have given them up.
    void expire() {
        if (fabric_ == nullptr || cut_) return;
        for (int side = 0; side < 2; ++side) {
            End& e = end_[side];
            if (!e.exists || !e.given_up(unanswered_since(side), fabric_->engine.now())) continue;
            e.exists = false;
            lose(pipe_[side]);
        }
    }
    /// Returns whether no further event is possible, and no process has anything to read.
    [[nodiscard]] bool over() {
        expire();
        const auto empty = [](const Pipe& p) { return !p.scheduled && p.flying.empty(); };
        return end_[0].is_over() && end_[1].is_over() && empty(pipe_[0]) && empty(pipe_[1]);
    }
    [[nodiscard]] const End& end(int side) const noexcept { return end_[side]; }

private:
    [[nodiscard]] bool connected(const End& e) const noexcept {
        return fabric_ != nullptr && e.exists && e.up && !e.ended;
    }
    [[nodiscard]] bool can_send(const End& e) const noexcept { return connected(e) && !e.closing; }
    void note(Mark mark, int side, std::uint64_t facts, BytesView bytes = {}) noexcept {
        fabric_->engine.note(mark, end_[side].station->index, facts, [&] {
            return OtherEnd{end_[1 - side].station->index,
                            static_cast<std::uint32_t>(request_.number), side == 1, excerpt(bytes)};
        });
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
    /// Loses what a kernel has sent, because it has forgotten the connection. An acceptance still
    /// arrives. If a partition holds it, the other kernel repeats its request.
    void lose(Pipe& p) {
        if (p.flying.empty() || p.flying[0].kind != SegmentKind::ack) return p.flying.clear();
        Segment acceptance = p.flying.pop();
        p.flying.clear();
        if (!p.blocked) return p.flying.push(std::move(acceptance));
        if (end_[0].exists) repeat_request(fabric_->engine.now());
    }
    /// The kernel of the dialler sends its request again, not before `then`.
    void repeat_request(Instant then) {
        const Instant repeated = next_retry(request_.sent, first_syn_retry, then);
        const Instant due = after(repeated, pipe_[0].latency->draw(pipe_[0].bits));
        pipe_[0].flying.push({SegmentKind::syn, due, {}, request_.sent});
        schedule(pipe_[0]);
    }
    void schedule(Pipe& p, Instant not_before = always) {
        if (p.scheduled || p.blocked || p.flying.empty()) return;
        p.scheduled = true;
        Engine& engine = fabric_->engine;
        engine.add(std::max({p.flying[0].due, p.held_until, not_before}), &Channel::pump, &p,
                   engine.shuffled() ? link_of(p) : 0);
    }
    /// Returns whether the front segment has arrived. Reports the part of a long message that the
    /// process at the other end has read, as a stream of bytes does.
    [[nodiscard]] bool carried(Pipe& p) {
        End& e = end_[1 - p.from];
        Bottleneck& link = fabric_->links.bandwidth_of(*end_[p.from].station, *e.station);
        const Instant now = fabric_->engine.now();
        if (p.carried(link, e.station->reads, now)) return true;
        const std::size_t unread = p.unread_bytes - p.part_read;
        if (e.is_stream || !e.can_read() || !e.inbox.empty()) return false;
        if (p.read_part(link, e.station->reads, now) == 0) return false;
        e.link.pong(false);
        if (unread > p.window(fabric_->window_bytes)) notify_once(1 - p.from, SegmentKind::taken);
        return false;
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
        if (c.fabric_->links.limits_bandwidth && !c.carried(p)) [[unlikely]]
            return c.schedule(p,
                              std::min(p.carried_at, after(c.fabric_->engine.now(), look_again)));
        p.carried_at = never;
        p.has_crossed = false;
        p.part_read = 0;
        Segment s = p.flying.pop();
        c.schedule(p);
        c.arrive(1 - p.from, std::move(s));
    }

    void arrive(int side, Segment&& s) {
        End& e = end_[side];
        note(Mark::arrive, side, static_cast<std::uint64_t>(s.kind) << 32 | s.bytes.size(),
             s.bytes);
        if (s.kind == SegmentKind::syn) return accept();
        if (e.lingers) expire();
        if (!e.exists) return answer_unknown_socket(side, s.kind);
        if (s.kind == SegmentKind::fin) {
            end_[1 - side].fin_delivered_at = fabric_->engine.now();
            end_[1 - side].forget_if_over(fabric_->engine.now());
        }
        if (e.is_stream) return arrive_at_stream(side, std::move(s));
        // The process can still read the segments before it, as on Linux.
        if (s.kind == SegmentKind::reset && std::exchange(e.ended, true)) return;
        // A segment that is read at once need not be buffered first.
        const bool at_once = e.can_read() && e.inbox.empty();
        if (at_once && (report(side, s) || !e.exists)) return;
        e.inbox.push(std::move(s));
        if (!at_once) read(side);
    }
    void arrive_at_stream(int side, Segment&& s) {
        const belay::detail::Ref<Channel> alive = belay::detail::Ref<Channel>::share(this);
        End& e = end_[side];
        Pipe& in = pipe_[1 - side];
        if (pipe_[side].blocked && (s.kind == SegmentKind::data || s.kind == SegmentKind::fin)) {
            in.unanswered_since = std::min(in.unanswered_since, s.sent);
        }
        switch (s.kind) {
            case SegmentKind::ack:
                e.up = true;
                break;
            case SegmentKind::data:
                if (e.lingers || e.refuses_data) return answer_closed_socket(side);
                e.inbox.push(std::move(s));
                break;
            case SegmentKind::window:
                in.window_unread = false;
                e.starved = false;
                break;
            case SegmentKind::ping:
                in.ping_unread = false;  // a stream has none
                return;
            case SegmentKind::fin:
                e.fin_seen = true;
                e.forget_if_over(fabric_->engine.now());
                break;
            case SegmentKind::reset: {
                if (e.ended) return;  // what has arrived before can still be read
                if (e.lingers) e.exists = false;
                const std::errc lost =
                    e.fin_seen ? std::errc::broken_pipe : std::errc::connection_reset;
                return e.end_stream(e.up ? lost : std::errc::connection_refused);
            }
            default:
                return;
        }
        if (e.socket != nullptr) e.socket->changed();
    }
    /// Data for a socket that the process has closed, so it is never read.
    void answer_closed_socket(int side) {
        End& e = end_[side];
        e.exists = e.lingers = false;
        if (!cut_ && !std::exchange(e.owes_reset, true)) push(side, SegmentKind::reset);
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
        // A request that was dropped is not repeated for a process that has given up.
        if (!end_[0].exists && request_dropped_) return;
        if (s.faults.closes_early) {
            note(Mark::accept, 1, request_.port);
            push(1, SegmentKind::ack);
            return push(1, SegmentKind::fin);
        }
        Station::Listener* const listener = s.listener_for(request_.port, *end_[0].station);
        // Also a former connection in its place, of a process that has no socket of it yet.
        if (listener == nullptr || (end_[1].is_held && end_[1].socket == nullptr)) {
            note(Mark::refuse, 1, request_.port);
            return answer_unknown_socket(1, SegmentKind::syn);
        }
        if (listener->is_full_for(*this)) {
            pipe_[0].unanswered_since = request_.sent;
            request_dropped_ = true;
            return repeat_request(after(fabric_->engine.now(), Duration{1}));
        }
        note(Mark::accept, 1, request_.port);
        pipe_[0].unanswered_since = never;
        if (end_[1].up) {  // its process has ended it before the dialler knew of it
            end_[1].renew();
            pipe_[1].renew();
        }
        end_[1].exists = end_[1].up = true;
        end_[1].is_stream = static_cast<bool>(listener->on_waiting);
        end_[1].reuses_address = listener->reuses_address;
        push(1, SegmentKind::ack);
        if (!listener->has(*this)) listener->backlog.push_back(alive);
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
                const std::size_t cost = s.bytes.size() + overhead_bytes;
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
            case SegmentKind::taken:
                in.taken_unread = false;
                e.link.written();
                return true;
            case SegmentKind::fin:
                e.fin_seen = e.ended = true;
                e.link.closed(failure_of(LinkErrc::closed_by_peer));
                return true;
            default:
                e.link.closed(e.reset_failure());
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
    /// Notifies the peer of its window, if no such notice is under way.
    void notify_once(int side, SegmentKind kind) {
        Pipe& back = pipe_[side];
        bool& under_way = kind == SegmentKind::taken ? back.taken_unread : back.window_unread;
        if (end_[side].exists && !cut_ && !std::exchange(under_way, true)) push(side, kind);
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
        const End& other = end_[1 - side];
        if (!other.starved) return;
        if (!other.is_stream) notify_once(side, SegmentKind::taken);
        if (unread > pipe_[1 - side].window(fabric_->window_bytes) / 2) return;
        notify_once(side, SegmentKind::window);
    }

    Fabric* fabric_;
    const Request request_;
    bool cut_ = false;
    bool request_dropped_ = false;  // a queue without space has dropped it
    End end_[2];
    Pipe pipe_[2];
};

}}}  // namespace belay::sim::detail
