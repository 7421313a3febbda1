// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/socket.hpp
/// LibcSocket: a TCP socket of a simulated program.
#pragma once

#include <netinet/in.h>   // sockaddr_in
#include <netinet/tcp.h>  // TCP_NODELAY
#include <sys/socket.h>   // MSG_PEEK
#include <sys/time.h>     // timeval

#include <algorithm>  // std::all_of, std::min
#include <cstring>    // std::memcpy
#include <memory>     // std::unique_ptr
#include <optional>   // std::optional
#include <span>       // std::span
#include <utility>    // std::exchange

#include <belay/libc_sim/detail/files.hpp>
#include <belay/libc_sim/detail/words.hpp>
#include <belay/sim/detail/socket.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Copies an address to a caller, whose space may be too small.
inline void libc_give_address(sim::detail::Address address, std::uint16_t port, sockaddr* out,
                              socklen_t* size) noexcept {
    if (out == nullptr || size == nullptr) return;
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr.s_addr = htonl(address);
    std::memcpy(out, &in, std::min<std::size_t>(*size, sizeof in));
    *size = sizeof in;
}

/// A TCP socket: closed, listening or a connection.
class LibcSocket final : public LibcFile {
public:
    explicit LibcSocket(LibcProcess& process)
        : process_{process}, stream_{process.host(), [this] { changed(process_); }} {}
    LibcSocket(LibcProcess& process, Ref<sim::detail::Channel> accepted) : LibcSocket{process} {
        stream_.adopt(std::move(accepted));
    }
    ~LibcSocket() override { end(); }
    void end() noexcept override {
        stream_.close();
        if (listener_) listener_->close();
    }

    std::uint32_t ready() override {
        if (listener_ && listener_->listening()) return listener_->has_waiting() ? EPOLLIN : 0U;
        const sim::detail::Readiness r = stream_.readiness();
        std::uint32_t flags = r.readable || !peeked_.empty() ? EPOLLIN | EPOLLRDNORM : 0U;
        if (r.writable) flags |= EPOLLOUT | EPOLLWRNORM;
        if (r.error) flags |= EPOLLERR;
        if (r.reads_ended) flags |= EPOLLRDHUP;
        if (r.hung_up) flags |= EPOLLHUP;
        return flags;
    }

    int bind(const sockaddr_in& at) {
        const auto address = ntohl(at.sin_addr.s_addr);
        const bool local = address >> 24U == sim::detail::loopback_address >> 24U;
        const auto own = sim::detail::Socket::look_up(process_.host(), process_.host().name());
        if (address != INADDR_ANY && !local && address != own) return libc_fail(EADDRNOTAVAIL);
        if (listener_) return libc_fail(EINVAL);
        auto listener = std::make_unique<sim::detail::ListeningSocket>(process_.host());
        listener->reuse_address(options_.reuses_address || options_.reuses_port);
        if (const std::errc error = listener->bind(ntohs(at.sin_port)); error != std::errc{}) {
            if (options_.reuses_port) process_.refuse_call(" with SO_REUSEPORT and a port in use");
            return libc_fail(static_cast<int>(error));
        }
        only_local_ = local;
        listener_ = std::move(listener);
        return 0;
    }
    int listen(int backlog) {
        if (stream_.connected() || stream_.connecting()) return libc_fail(EINVAL);
        if (!listener_) {
            listener_ = std::make_unique<sim::detail::ListeningSocket>(process_.host());
        }
        // As on Linux, one connection more than the number waits.
        const std::size_t waiting_max =
            std::min(static_cast<unsigned>(backlog), unsigned{sim::detail::backlog_max} - 1) + 1;
        const std::errc error = listener_->listen(
            only_local_, [this] { changed(process_); }, waiting_max);
        return error == std::errc{} ? 0 : libc_fail(static_cast<int>(error));
    }
    /// Returns the next connection; null, with errno, if there is none.
    [[nodiscard]] std::shared_ptr<LibcSocket> accept() {
        if (!listener_ || !listener_->listening()) return libc_fail(EINVAL), nullptr;
        Ref<sim::detail::Channel> next = listener_->accept();
        if (!next) return libc_fail(EAGAIN), nullptr;
        const auto socket = std::make_shared<LibcSocket>(process_, std::move(next));
        socket->inherit(*this);
        return socket;
    }
    /// Begins to connect.
    int connect(const sockaddr_in& to) {
        if (listener_ && listener_->listening()) return libc_fail(EISCONN);
        if (stream_.connected() && std::exchange(connects_, false)) return 0;
        connects_ = true;
        const std::errc error =
            stream_.connect(ntohl(to.sin_addr.s_addr), ntohs(to.sin_port), listener_.get());
        return libc_fail(error == std::errc{} ? EINPROGRESS : static_cast<int>(error));
    }
    [[nodiscard]] bool connecting() const noexcept { return stream_.connecting(); }
    /// A blocking connect() has ended.
    void end_connect() noexcept {
        connects_ = false;
        stream_.forget_failure();
    }

    ssize_t receive(std::span<const iovec> iov, int flags) {
        ssize_t total = 0;
        const bool is_empty =
            std::all_of(iov.begin(), iov.end(), [](const iovec& v) { return v.iov_len == 0; });
        if (is_empty && available() == 0) {
            std::byte none[1];
            const std::errc error = stream_.read(none).error;  // an end, or an error
            return error == std::errc{} ? 0 : libc_fail(static_cast<int>(error));
        }
        for (const iovec& v : iov) {
            if (v.iov_len == 0) continue;
            // An error after data waits for the next call.
            if (total != 0 && available() == 0) break;
            const sim::detail::IoResult r = read_some(
                {static_cast<std::byte*>(v.iov_base), v.iov_len}, (flags & MSG_PEEK) != 0);
            if (r.error != std::errc{}) return libc_fail(static_cast<int>(r.error));
            total += static_cast<ssize_t>(r.bytes);
            if (r.bytes < v.iov_len || (flags & MSG_PEEK) != 0) break;
        }
        return total;
    }
    ssize_t send(std::span<const iovec> iov, int flags) {
        ssize_t total = 0;
        for (const iovec& v : iov) {
            if (v.iov_len == 0) continue;
            const sim::detail::IoResult r =
                stream_.write({static_cast<const std::byte*>(v.iov_base), v.iov_len});
            if (r.error != std::errc{} && total == 0) return failed_send(r.error, flags);
            total += static_cast<ssize_t>(r.bytes);
            if (r.bytes < v.iov_len) break;
        }
        return total;
    }
    int shutdown(int how) {
        if (listener_ && listener_->listening()) {
            if (how != SHUT_WR) listener_->stop();
            return 0;
        }
        const std::errc error = stream_.shutdown(how != SHUT_WR, how != SHUT_RD);
        return error == std::errc{} ? 0 : libc_fail(static_cast<int>(error));
    }
    /// Returns whether nothing more arrives, because of an end or an error.
    [[nodiscard]] bool is_over() { return (ready() & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0; }
    /// Returns how many bytes can be read at once.
    [[nodiscard]] std::size_t available() const noexcept {
        return peeked_.size() + stream_.available();
    }
    int set_option(int level, int name, const void* value, socklen_t size);
    int option(int level, int name, void* value, socklen_t* size);
    void give_name(bool of_peer, sockaddr* out, socklen_t* size) const noexcept {
        if (of_peer) {
            libc_give_address(stream_.peer_address(), stream_.peer_port(), out, size);
        } else if (listener_ && !stream_.connected()) {
            libc_give_address(only_local_ ? sim::detail::loopback_address : INADDR_ANY,
                              listener_->port(), out, size);
        } else {
            libc_give_address(stream_.address(), stream_.port(), out, size);
        }
    }
    [[nodiscard]] bool connected() const noexcept { return stream_.connected(); }
    [[nodiscard]] bool has_peer() const noexcept { return stream_.has_peer(); }
    /// The limits of a call that waits.
    [[nodiscard]] Instant deadline(bool sends) const noexcept {
        const Duration limit = sends ? options_.send_limit : options_.receive_limit;
        return limit == Duration{0} ? never : after(process_.host().now(), limit);
    }

private:
    struct Options {
        Duration receive_limit{0};
        Duration send_limit{0};
        int receive_buffer = 131'072;  // the defaults of tcp_rmem and tcp_wmem
        int send_buffer = 16'384;
        bool resets = false;
        bool reuses_address = false;
        bool reuses_port = false;
        bool no_delay = false;
    };

    /// Takes the options of the listener that has accepted it, as on Linux.
    void inherit(const LibcSocket& listener) {
        stream_.keep_alive(listener.stream_.keep_alive());
        options_ = listener.options_;
        mind_unread();
    }
    /// Sets a number of keep-alive, or the size of a buffer.   Returns: an error; ENOPROTOOPT if it
    /// is neither.
    [[nodiscard]] int set_number(int level, int name, int value);
    /// Returns the value of an option that is a number; nothing for others.
    [[nodiscard]] std::optional<int> tcp_number(int name);
    [[nodiscard]] std::optional<int> socket_number(int name);
    [[nodiscard]] sim::detail::IoResult read_some(std::span<std::byte> out, bool peek) {
        if (peek && peeked_.size() < out.size() && stream_.available() != 0) {
            const std::size_t old = peeked_.size();
            peeked_.resize(old + std::min(out.size() - old, stream_.available()));
            static_cast<void>(stream_.read(std::span{peeked_}.subspan(old)));
            mind_unread();
        }
        if (peeked_.empty() && peek) {
            std::byte none[1];
            return stream_.read(none);  // an end, or an error, but no data
        }
        if (peeked_.empty()) return stream_.read(out);
        std::size_t n = std::min(peeked_.size(), out.size());
        std::memcpy(out.data(), peeked_.data(), n);
        if (peek) return {n, {}};
        peeked_.erase(peeked_.begin(), peeked_.begin() + static_cast<std::ptrdiff_t>(n));
        mind_unread();
        if (n < out.size() && stream_.available() != 0) {
            n += stream_.read(out.subspan(n)).bytes;
        }
        return {n, {}};
    }
    /// As on Linux, data that the program has not read resets the connection at its end.
    void mind_unread() noexcept { stream_.reset_at_end(options_.resets || !peeked_.empty()); }
    ssize_t failed_send(std::errc error, int flags) {
        if (error == std::errc::broken_pipe && (flags & MSG_NOSIGNAL) == 0) {
            process_.pipe_action().raise(process_);
        }
        return libc_fail(static_cast<int>(error));
    }

    LibcProcess& process_;
    sim::detail::Socket stream_;
    std::unique_ptr<sim::detail::ListeningSocket> listener_;
    Bytes peeked_;  // read by MSG_PEEK, and not yet by the program
    Options options_;
    bool only_local_ = false;
    bool connects_ = false;  // connect() was called, and has not returned the end
};

namespace libc_options {

/// Reads or writes an option.
template <class T>
bool read(T& to, const void* value, socklen_t size) noexcept {
    if (value == nullptr || size < sizeof to) return false;
    std::memcpy(&to, value, sizeof to);
    return true;
}
template <class T>
int write(const T& from, void* value, socklen_t* size) noexcept {
    *size = std::min(*size, socklen_t{sizeof from});
    std::memcpy(value, &from, *size);
    return 0;
}
}  // namespace libc_options

inline int LibcSocket::set_number(int level, int name, int value) {
    if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_SNDBUF)) {
        // As on Linux, twice as much, between its minimum and twice rmem_max or wmem_max, which a
        // negative size exceeds. The window of a world does not depend on it.
        const int bytes = 2 * static_cast<int>(std::min(static_cast<unsigned>(value), 212'992U));
        if (name == SO_RCVBUF) options_.receive_buffer = std::max(bytes, 2'304);
        if (name == SO_SNDBUF) options_.send_buffer = std::max(bytes, 4'608);
        return 0;
    }
    sim::detail::KeepAlive how = stream_.keep_alive();
    if (level == SOL_SOCKET && name == SO_KEEPALIVE) {
        how.on = value != 0;
    } else if (level == IPPROTO_TCP &&
               (name == TCP_KEEPIDLE || name == TCP_KEEPINTVL || name == TCP_KEEPCNT)) {
        // Source: Linux, MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL and MAX_TCP_KEEPCNT.
        if (value < 1 || value > (name == TCP_KEEPCNT ? 127 : 32'767)) return EINVAL;
        if (name == TCP_KEEPIDLE) how.idle = std::chrono::seconds{value};
        if (name == TCP_KEEPINTVL) how.interval = std::chrono::seconds{value};
        if (name == TCP_KEEPCNT) how.count = value;
    } else {
        return ENOPROTOOPT;
    }
    stream_.keep_alive(how);
    return 0;
}

inline int LibcSocket::set_option(int level, int name, const void* value, socklen_t size) {
    const bool times = level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO);
    // A world sends each write at once.
    if ((level == SOL_SOCKET && (name == SO_REUSEADDR || name == SO_REUSEPORT)) ||
        (level == IPPROTO_TCP && name == TCP_NODELAY)) {
        int on = 0;
        if (!libc_options::read(on, value, size)) return libc_fail(EINVAL);
        (level == IPPROTO_TCP   ? options_.no_delay
         : name == SO_REUSEADDR ? options_.reuses_address
                                : options_.reuses_port) = on != 0;
        if (listener_) listener_->reuse_address(options_.reuses_address || options_.reuses_port);
        return 0;
    }
    if (times) {
        timeval t{};
        if (!libc_options::read(t, value, size)) return libc_fail(EINVAL);
        if (t.tv_usec < 0 || t.tv_usec >= 1'000'000) return libc_fail(EDOM);
        const Duration limit =
            LibcClock::from({.tv_sec = std::max<time_t>(t.tv_sec, 0), .tv_nsec = t.tv_usec * 1000});
        (name == SO_RCVTIMEO ? options_.receive_limit : options_.send_limit) = limit;
        return 0;
    }
    if (level == SOL_SOCKET && name == SO_LINGER) {
        linger how{};
        if (!libc_options::read(how, value, size)) return libc_fail(EINVAL);
        if (how.l_onoff == 0 || how.l_linger == 0) {
            options_.resets = how.l_onoff != 0;
            mind_unread();
            return 0;
        }
    }
    int number = 0;
    if (libc_options::read(number, value, size)) {
        const int error = set_number(level, name, number);
        if (error != ENOPROTOOPT) return error == 0 ? 0 : libc_fail(error);
    }
    process_.refuse_call(" with " + libc_words::of_option(level, name));
}

inline std::optional<int> LibcSocket::tcp_number(int name) {
    const sim::detail::KeepAlive& how = stream_.keep_alive();
    const auto seconds = [](Duration d) {
        return static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(d).count());
    };
    if (name == TCP_NODELAY) return options_.no_delay;
    if (name == TCP_KEEPIDLE) return seconds(how.idle);
    if (name == TCP_KEEPINTVL) return seconds(how.interval);
    if (name == TCP_KEEPCNT) return how.count;
    return std::nullopt;
}

inline std::optional<int> LibcSocket::socket_number(int name) {
    if (name == SO_ERROR) return static_cast<int>(stream_.take_error());
    if (name == SO_TYPE) return SOCK_STREAM;
    if (name == SO_DOMAIN) return AF_INET;
    if (name == SO_PROTOCOL) return IPPROTO_TCP;
    if (name == SO_REUSEADDR) return options_.reuses_address;
    if (name == SO_REUSEPORT) return options_.reuses_port;
    if (name == SO_ACCEPTCONN) return listener_ && listener_->listening();
    if (name == SO_KEEPALIVE) return stream_.keep_alive().on;
    if (name == SO_RCVBUF) return options_.receive_buffer;
    if (name == SO_SNDBUF) return options_.send_buffer;
    return std::nullopt;
}

inline int LibcSocket::option(int level, int name, void* value, socklen_t* size) {
    using libc_options::write;
    std::optional<int> known;
    if (level == IPPROTO_TCP) known = tcp_number(name);
    if (level == SOL_SOCKET) known = socket_number(name);
    if (known) return write(*known, value, size);
    const auto time = [](Duration limit) {
        const timespec t = LibcClock::to(limit);
        return timeval{.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
    };
    if (level == SOL_SOCKET) {
        if (name == SO_RCVTIMEO) return write(time(options_.receive_limit), value, size);
        if (name == SO_SNDTIMEO) return write(time(options_.send_limit), value, size);
        if (name == SO_LINGER) return write(linger{options_.resets ? 1 : 0, 0}, value, size);
    }
    process_.refuse_call(" with " + libc_words::of_option(level, name));
}

}}}  // namespace belay::detail
