// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/socket.hpp
/// Socket, ListeningSocket: the system calls of a host for TCP, which never block.
#pragma once

#include <algorithm>     // std::all_of
#include <chrono>        // std::chrono::seconds
#include <cstddef>       // std::byte
#include <cstdint>       // std::uint32_t
#include <optional>      // std::optional
#include <span>          // std::span
#include <system_error>  // std::errc
#include <utility>       // std::move, std::exchange

#include <belay/sim/host.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// An IPv4 address, in the order of the host. The hosts of a world are 10.0.0.1, 10.0.0.2 and so
/// on, in the order in which they were made.
using Address = std::uint32_t;
inline constexpr Address first_address = 0x0A000001;
inline constexpr Address loopback_address = 0x7F000001;

/// How long a kernel repeats the request for a connection.   Source: Linux, tcp_syn_retries = 6.
inline constexpr Duration connect_limit = std::chrono::seconds{127};
/// How long a kernel repeats data.   Source: Linux, tcp_retries2 = 15: "at least 924.6 seconds".
inline constexpr Duration answer_limit = std::chrono::milliseconds{924'600};
/// How long a kernel looks for an address at which there is no host.   Source: Linux, neigh:
/// mcast_solicit = 3 questions, retrans_time_ms = 1000.
inline constexpr Duration neighbour_limit = std::chrono::seconds{3};

/// How a kernel probes a peer that is silent.   Source: Linux, tcp_keepalive_time,
/// tcp_keepalive_intvl and tcp_keepalive_probes.
struct KeepAlive {
    bool on = false;
    Duration idle = std::chrono::hours{2};
    Duration interval = std::chrono::seconds{75};
    int count = 9;
};

/// The result of a call that does not block: a number of bytes, or an error. std::errc{} with 0
/// bytes is the end of the stream.
struct IoResult {
    std::size_t bytes = 0;
    std::errc error{};

    [[nodiscard]] bool would_block() const noexcept {
        return error == std::errc::resource_unavailable_try_again;
    }
};

/// The readiness of a socket, as poll() reports it.
struct Readiness {
    bool readable = false;
    bool writable = false;
    bool error = false;
    bool reads_ended = false;  // the peer will send nothing more
    bool hung_up = false;      // neither will this end
};

/// One TCP socket of a host's process, for bindings to socket libraries.
///
/// It behaves as a socket of Linux does. `on_change` is called when a call may succeed that would
/// have blocked. This also happens while the process is frozen, so it must not run code of the
/// process. The destructor closes the socket.
///
/// Thread safety: the world's thread.
class ListeningSocket;

class Socket : private ByteSocket {
public:
    explicit Socket(Host& host, Function<void()> on_change)
        : host_{&host}, on_change_{std::move(on_change)} {}
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { close(); }

    /// Takes an accepted connection.   Pre: closed.
    void adopt(belay::detail::Ref<Channel> channel) {
        channel_ = std::move(channel);
        side_ = 1;
        state_ = State::connected;
        channel_->attach_stream(side_, *this);
        begin_probes();
        if (!end().ended) return;
        ended_ = true;
        error_ = end().error;
    }
    /// Begins to connect, from a port that bind() has chosen, or another one.
    /// Returns: what the system call returns at once; an end follows by finish_connect().
    [[nodiscard]] std::errc connect(Address address, std::uint16_t port,
                                    const ListeningSocket* from = nullptr);
    /// Returns the end of connect(); nothing while it lasts.
    [[nodiscard]] std::optional<std::errc> finish_connect() {
        if (state_ == State::connected) return std::errc{};
        if (state_ == State::connecting) return std::nullopt;
        forget_failure();
        return std::exchange(error_, {});
    }
    /// The process has the error of connect(). Until then, the kernel reports the end of a
    /// connection.
    void forget_failure() noexcept { failed_ = false; }
    [[nodiscard]] bool connected() const noexcept { return state_ == State::connected; }
    [[nodiscard]] bool connecting() const noexcept { return state_ == State::connecting; }
    /// Returns whether the kernel has a connection. It forgets one that both ends have ended.
    [[nodiscard]] bool has_peer() const noexcept {
        if (state_ != State::connected || ended_) return false;
        return !(fin_sent_ && end().fin_seen && end().fin_delivered_at != never);
    }
    /// Returns what poll() reports now. on_change follows when that changes.
    [[nodiscard]] Readiness readiness() {
        const bool error = error_ != std::errc{};
        if (state_ == State::connecting) return {};
        if (state_ == State::closed) return {error || failed_, true, error, error || failed_, true};
        const bool over = is_over();
        return {.readable = over || error || available() != 0,
                .writable = ended_ || fin_sent_ || channel_->writable(side_),
                .error = error,
                .reads_ended = over,
                .hung_up = ended_ || (fin_sent_ && over)};
    }
    /// Returns the error that waits, and forgets it.
    [[nodiscard]] std::errc take_error() noexcept { return std::exchange(error_, {}); }

    /// Pre: out is not empty.
    [[nodiscard]] IoResult read(std::span<std::byte> out) {
        if (state_ == State::connecting) return {0, std::errc::resource_unavailable_try_again};
        if (failed_) return {0, std::exchange(error_, {})};
        if (state_ == State::closed || !(owns_end() || ended_)) {
            return {0, std::errc::not_connected};
        }
        if (const std::size_t n = owns_end() ? channel_->read(side_, out) : 0) return {n, {}};
        // As on Linux, the peer's orderly end comes before the error that follows it.
        if (owns_end() && end().fin_seen) return {0, {}};
        if (const std::errc error = std::exchange(error_, {}); error != std::errc{}) {
            return {0, error};
        }
        if (is_over()) return {0, {}};
        return {0, std::errc::resource_unavailable_try_again};
    }
    /// Pre: bytes is not empty.
    [[nodiscard]] IoResult write(BytesView bytes) {
        if (state_ == State::connecting) return {0, std::errc::resource_unavailable_try_again};
        if (const std::errc error = std::exchange(error_, {}); error != std::errc{}) {
            return {0, error};
        }
        if (state_ == State::closed || ended_ || fin_sent_ || !owns_end()) {
            return {0, std::errc::broken_pipe};
        }
        const std::size_t n = channel_->write(side_, bytes);
        if (n == 0) return {0, std::errc::resource_unavailable_try_again};
        if (!give_up_.waits()) watch_answers(Kernel::now(*host_));
        if (reaches_peer()) hear();
        return {n, {}};
    }
    /// Returns how much read() would return.
    [[nodiscard]] std::size_t available() const noexcept {
        return state_ == State::connected && owns_end() ? channel_->readable(side_) : 0;
    }
    /// Returns whether read() would not block.
    [[nodiscard]] bool can_read() const noexcept {
        return state_ != State::connected || is_over() || error_ != std::errc{} || available() != 0;
    }
    /// Ends one direction, or both.
    [[nodiscard]] std::errc shutdown(bool reads, bool writes) {
        if (!has_peer() || !owns_end()) return std::errc::not_connected;
        reads_ended_ = reads_ended_ || reads;
        if (writes && !std::exchange(fin_sent_, true)) {
            channel_->close(side_);
            if (!give_up_.waits()) watch_answers(Kernel::now(*host_));
        }
        if (reads_ended_ && fin_sent_) channel_->refuse_data(side_);
        on_change_();
        return {};
    }
    using ByteSocket::reset_at_end;
    /// Sets whether and how the kernel probes a silent peer. As on Linux, the time begins anew when
    /// probes are switched on, and not when one of their numbers is set.
    void keep_alive(const KeepAlive& how) {
        const KeepAlive before = std::exchange(keep_alive_, how);
        if (state_ != State::connected || ended_) return;
        if (!how.on) return static_cast<void>(probe_.cancel());
        if (!before.on) return probe_after(how.idle);
        if (how.idle == before.idle) return;
        const Duration silent = elapsed(heard_at_, Kernel::now(*host_));
        probe_after(how.idle > silent ? how.idle - silent : Duration::zero());
    }
    [[nodiscard]] const KeepAlive& keep_alive() const noexcept { return keep_alive_; }
    /// Closes the socket.
    void close() {
        give_up_.cancel();
        probe_.cancel();
        state_ = State::closed;
        failed_ = false;
        const belay::detail::Ref<Channel> channel = std::exchange(channel_, {});
        if (!channel || channel->end(side_).socket != this) return;
        resets_at_end() ? channel->abort(side_) : channel->release(side_);
    }

    [[nodiscard]] Address peer_address() const noexcept {
        return channel_ ? first_address + channel_->end(1 - side_).station->index : 0;
    }
    [[nodiscard]] std::uint16_t peer_port() const noexcept {
        return channel_ ? channel_->end(1 - side_).port : std::uint16_t{0};
    }
    [[nodiscard]] Address address() const noexcept {
        return channel_ ? first_address + Kernel::station(*host_).index : 0;
    }
    [[nodiscard]] std::uint16_t port() const noexcept {
        return channel_ ? end().port : std::uint16_t{0};
    }

    /// Returns the address of a host; nothing if there is none of this name.
    [[nodiscard]] static std::optional<Address> look_up(const Host& host, std::string_view name) {
        if (name == "localhost") return loopback_address;
        const Station* const station = Kernel::fabric(host).look_up(name);
        if (station == nullptr) return std::nullopt;
        return first_address + station->index;
    }

private:
    enum class State : std::uint8_t { closed, connecting, connected };

    void changed() override {
        const End& e = end();
        if (e.ended) {
            if (state_ == State::connecting) return fail(e.error);
            if (!std::exchange(ended_, true)) error_ = e.error;
            give_up_.cancel();
            probe_.cancel();
        } else if (state_ == State::connecting && e.up) {
            state_ = State::connected;
            give_up_.cancel();
            begin_probes();
        }
        hear();
        on_change_();
    }
    /// The peer's kernel has answered something.
    void hear() noexcept {
        heard_at_ = Kernel::now(*host_);
        unanswered_probes_ = 0;
    }
    void fail(std::errc why) {
        close();
        failed_ = true;
        error_ = why;
        on_change_();
    }
    /// Gives the connection up when the peer's kernel has been silent for too long.
    void watch_answers(Instant since) {
        const Duration rest = elapsed(Kernel::now(*host_), after(since, answer_limit));
        give_up_ = Kernel::after(*host_, rest, [this] {
            const Instant silent = channel_->unanswered_since(side_);
            if (silent == never) return;
            if (elapsed(silent, Kernel::now(*host_)) >= answer_limit)
                return channel_->give_up(side_);
            watch_answers(silent);
        });
    }
    void begin_probes() {
        hear();
        if (keep_alive_.on) probe_after(keep_alive_.idle);
    }
    void probe_after(Duration wait) {
        probe_.cancel();
        probe_ = Kernel::after(*host_, wait, [this] { probe(); });
    }
    void probe() {
        const Instant now = Kernel::now(*host_);
        // Data that is repeated is a probe, too.
        if (give_up_.waits() && channel_->unanswered_since(side_) != never) {
            return probe_after(keep_alive_.idle);
        }
        const Instant due = after(heard_at_, keep_alive_.idle);
        if (unanswered_probes_ == 0 && now < due) return probe_after(elapsed(now, due));
        if (unanswered_probes_ >= keep_alive_.count) return channel_->give_up(side_);
        if (!reaches_peer()) {
            ++unanswered_probes_;
            return probe_after(keep_alive_.interval);
        }
        channel_->ping(side_);  // a kernel that has forgotten the connection answers with a reset
        begin_probes();
    }
    /// Returns whether packets arrive at the peer, and its answers here.
    [[nodiscard]] bool reaches_peer() const noexcept {
        const Fabric& fabric = Kernel::fabric(*host_);
        const Station& peer = *channel_->end(1 - side_).station;
        return !fabric.blocked(*end().station, peer) && !fabric.blocked(peer, *end().station);
    }
    [[nodiscard]] Station* find(Address address) const noexcept {
        if (address >> 24 == loopback_address >> 24 || address == 0)
            return &Kernel::station(*host_);
        const std::uint64_t index = std::uint64_t{address} - first_address;
        const auto& stations = Kernel::fabric(*host_).stations;
        return index < stations.size() ? stations[static_cast<std::size_t>(index)] : nullptr;
    }
    [[nodiscard]] const End& end() const noexcept { return channel_->end(side_); }
    /// Returns whether nothing more will arrive.   Pre: connected.
    [[nodiscard]] bool is_over() const noexcept { return ended_ || reads_ended_ || end().fin_seen; }
    /// Returns whether the end is that of this socket, and not of a later one in its place.
    [[nodiscard]] bool owns_end() const noexcept { return end().socket == this; }

    Host* host_;
    Function<void()> on_change_;
    belay::detail::Ref<Channel> channel_;
    Timer give_up_;
    Timer probe_;
    KeepAlive keep_alive_{};
    Instant heard_at_ = always;  // the peer's kernel
    int unanswered_probes_ = 0;
    std::errc error_{};  // reported once
    int side_ = 0;
    State state_ = State::closed;
    bool ended_ = false;  // the kernel has ended the connection
    bool fin_sent_ = false;
    bool failed_ = false;  // connect() has, and its caller does not have the error
    bool reads_ended_ = false;
};

/// A listening TCP socket of a host's process. `on_waiting` is called, as Socket's on_change, when
/// a connection is complete. Its destructor closes the socket, and resets the connections that
/// wait.
///
/// Thread safety: the world's thread.
class ListeningSocket {
public:
    explicit ListeningSocket(Host& host) noexcept : host_{&host} {}
    ListeningSocket(const ListeningSocket&) = delete;
    ListeningSocket& operator=(const ListeningSocket&) = delete;
    ~ListeningSocket() { close(); }

    /// Sets SO_REUSEADDR: bind() also takes a port of connections whose listener had the option.
    void reuse_address(bool on) noexcept { reuses_address_ = on; }
    [[nodiscard]] bool reuses_address() const noexcept { return reuses_address_; }
    /// Chooses a port; a free one if it is 0.
    [[nodiscard]] std::errc bind(std::uint16_t port) {
        if (port_ != 0) return std::errc::invalid_argument;
        if (port == 0) port = free_port();
        if (port == 0 || is_taken(port) || has_connection(port, reuses_address_)) {
            return std::errc::address_in_use;
        }
        auto& bound = Kernel::station(*host_).bound;
        const auto [first, last] = bound.equal_range(port);
        const bool is_free = std::all_of(
            first, last, [&](const auto& other) { return reuses_address_ && *other.second; });
        if (!is_free) return std::errc::address_in_use;
        bound.emplace(port_ = port, &reuses_address_);
        return {};
    }
    /// Listens on the port; on a free one without bind(). At most `waiting_max` connections wait. A
    /// second call sets that number only.   Pre: 0 < waiting_max <= backlog_max.
    [[nodiscard]] std::errc listen(bool only_local, Function<void()> on_waiting,
                                   std::size_t waiting_max = backlog_max) {
        Station& station = Kernel::station(*host_);
        if (!station.alive) return std::errc::network_down;
        if (listening()) return station.listeners[port_].waiting_max = waiting_max, std::errc{};
        if (port_ == 0) port_ = free_port();
        if (port_ == 0 || is_taken(port_)) return std::errc::address_in_use;
        Station::Listener& listener = station.listeners[port_];
        // Only a new connection is a change, and neither a process that continues nor descriptors
        // that are free again: an edge-triggered program sees no other.
        listener.on_waiting = [this, &listener, changed = std::move(on_waiting)]() mutable {
            const std::size_t waiting = listener.backlog.size();
            if (std::exchange(noticed_, waiting) < waiting) changed();
        };
        listener.only_local = only_local;
        listener.reuses_address = reuses_address_;
        listener.waiting_max = waiting_max;
        noticed_ = 0;
        start_ = host_->starts();
        return {};
    }
    /// Returns the next connection that is complete; null if there is none.
    [[nodiscard]] belay::detail::Ref<Channel> accept() noexcept {
        if (!listening()) return {};
        Station::Listener& listener = Kernel::station(*host_).listeners[port_];
        if (listener.backlog.empty()) return {};
        belay::detail::Ref<Channel> next = Channel::take(listener);
        noticed_ = listener.backlog.size();
        return next;
    }
    /// Returns whether accept() would return a connection.
    [[nodiscard]] bool has_waiting() const noexcept {
        return listening() && !Kernel::station(*host_).listeners[port_].backlog.empty();
    }
    void close() {
        stop();
        std::erase_if(Kernel::station(*host_).bound,
                      [this](const auto& b) { return b.second == &reuses_address_; });
        port_ = 0;
    }
    /// Does not listen any longer, and keeps the port.
    void stop() {
        if (!listening()) return;
        const auto listener = Kernel::station(*host_).listeners.extract(port_);
        start_ = 0;
        for (const belay::detail::Ref<Channel>& c : listener.mapped().backlog) c->abort(1);
    }
    /// Returns whether it listens. A host that was killed closes the sockets of its process.
    [[nodiscard]] bool listening() const noexcept {
        return port_ != 0 && start_ == host_->starts() && is_taken(port_);
    }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    /// Returns whether a connection keeps the port from this socket. If it shares ports, one whose
    /// socket did, too, does not.   Source: Linux, inet_csk_bind_conflict.
    [[nodiscard]] bool has_connection(std::uint16_t port, bool shares) const {
        const Station& station = Kernel::station(*host_);
        for (const bool others_reuse : {false, true}) {
            const auto at = station.time_waits.find({port, others_reuse});
            const bool waits = at != station.time_waits.end() && Kernel::now(*host_) < at->second;
            if (waits && !(shares && others_reuse)) return true;
        }
        for (const belay::detail::Ref<Channel>& c : Kernel::fabric(*host_).channels) {
            c->expire();
            for (int side = 0; side < 2; ++side) {
                const End& e = c->end(side);
                if (e.station != &station || e.port != port || !e.exists) continue;
                if (side == 0 && !e.chose_port) continue;
                if (!(shares && e.reuses_address)) return true;
            }
        }
        return false;
    }

private:
    [[nodiscard]] bool is_taken(std::uint16_t port) const noexcept {
        return Kernel::station(*host_).listeners.count(port) != 0;
    }
    /// Returns a port that no socket has, not even one that shares it.
    [[nodiscard]] std::uint16_t free_port() const {
        const auto& bound = Kernel::station(*host_).bound;
        for (std::uint16_t port = 49152; port != 0; ++port) {
            if (!is_taken(port) && !bound.contains(port) && !has_connection(port, false)) {
                return port;
            }
        }
        return 0;
    }

    Host* host_;
    std::uint16_t port_ = 0;
    std::uint64_t start_ = 0;
    std::size_t noticed_ = 0;  // the connections that wait and were reported
    bool reuses_address_ = false;
};

inline std::errc Socket::connect(Address address, std::uint16_t port, const ListeningSocket* from) {
    if (state_ == State::connecting) return std::errc::connection_already_in_progress;
    if (state_ == State::connected) return std::errc::already_connected;
    if (std::exchange(failed_, false)) {
        const std::errc error = take_error();
        return error != std::errc{} ? error : std::errc::connection_aborted;
    }
    if (!host_->alive()) return std::errc::network_down;
    if (from != nullptr && from->has_connection(from->port(), from->reuses_address())) {
        return std::errc::address_not_available;
    }
    state_ = State::connecting;
    error_ = {};
    fin_sent_ = ended_ = reads_ended_ = false;
    if (Station* const to = find(address)) {
        side_ = 0;
        channel_ = Kernel::dial(*host_, *to, port);
        if (from != nullptr) channel_->choose_port(from->port(), from->reuses_address());
        channel_->attach_stream(side_, *this);
        give_up_ = Kernel::after(*host_, connect_limit, [this] { channel_->give_up(side_); });
    } else {
        give_up_ =
            Kernel::after(*host_, neighbour_limit, [this] { fail(std::errc::host_unreachable); });
    }
    return {};
}

}}}  // namespace belay::sim::detail
