// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/connection.hpp
/// RedisConnection: one command and its reply at a time, within a time limit. It connects when
/// needed.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <hiredis/hiredis.h>

#include <cerrno>       // EINTR
#include <charconv>     // std::from_chars
#include <chrono>       // std::chrono::steady_clock
#include <cstdint>      // std::uint64_t
#include <cstdio>       // std::snprintf
#include <memory>       // std::shared_ptr, std::unique_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/posix/detail/socket.hpp>
#include <belay/redis/error.hpp>
#include <belay/redis/options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct RedisFree {
    void operator()(redisContext* context) const noexcept { redisFree(context); }
    void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
    void operator()(char* command) const noexcept { redisFreeCommand(command); }
};
using RedisReply = std::unique_ptr<redisReply, RedisFree>;

/// Returns an element of an array; null if `reply` is not an array, or is too short.
[[nodiscard]] inline const redisReply* reply_at(const redisReply* reply, std::size_t i) noexcept {
    if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY) return nullptr;
    return i < reply->elements ? reply->element[i] : nullptr;
}
/// Returns the text of a reply; "" if it has none.
[[nodiscard]] inline std::string_view reply_text(const redisReply* reply) noexcept {
    if (reply == nullptr || reply->str == nullptr) return {};
    return {reply->str, reply->len};
}

/// A connection over hiredis, which connects, formats and parses. This class reads and writes by
/// itself, because hiredis limits the time of each read instead of a whole reply, and its writes
/// raise SIGPIPE.
class RedisConnection {
public:
    using Milliseconds = std::chrono::milliseconds;

    /// Pre: valid options. `rejects_cluster`: whether not to connect to a node of a cluster.
    void use(const redis::Options& options, bool rejects_cluster = false) {
        options_ = options;
        rejects_cluster_ = rejects_cluster;
        if (!has_sentinels()) return;
        options_.socket.clear();
        options_.host.reserve(redis_host_max);  // connect() must not allocate
    }

    /// Sends a command, whose words may contain any bytes, and waits for the reply. `longer` is
    /// added to the usual time limit.
    ///
    /// Errors: those of redis::Errc, and those of the system if nothing was sent; there is no reply
    /// then. The connection is closed if the next bytes on it are unknown.
    template <std::size_t N>
    [[nodiscard]] std::error_code call(const std::string_view (&words)[N], RedisReply& reply,
                                       Milliseconds longer = {}) noexcept {
        reply.reset();
        words_[0] = '\0';
        if (!is_open()) {
            if (const std::error_code error = connect()) return error;
        }
        return exchange(words, reply, options_.command_timeout + longer);
    }

    /// Appends a command to `commands`, for `call_all`.   Throws: std::bad_alloc.
    template <std::size_t N>
    static void append_command(std::string& commands, const std::string_view (&words)[N]) {
        commands += '*' + std::to_string(N) + "\r\n";
        for (const std::string_view word : words) {
            commands += '$' + std::to_string(word.size()) + "\r\n";
            commands += word;
            commands += "\r\n";
        }
    }
    /// Sends `count` commands together, and then passes their replies to `take`, in this order.
    /// Their replies must be short. The time limit is that of one command.
    ///
    /// Errors: as `call`. An error of Redis is passed to `take`, too. The first one is returned.
    template <class F>
    [[nodiscard]] std::error_code call_all(std::string_view commands, std::size_t count,
                                           F&& take) noexcept {
        words_[0] = '\0';
        if (!is_open()) {
            if (const std::error_code error = connect()) return error;
        }
        const Clock::time_point deadline = Clock::now() + options_.command_timeout;
        std::error_code first;
        std::error_code error = send(commands, deadline);
        RedisReply reply;
        // An error may have closed the connection to a replica.
        for (; !error && context_ != nullptr && count != 0; --count) {
            error = receive(reply, deadline);
            if (error) break;
            if (!first) first = error_in(*reply);
            take(*reply);
        }
        if (error) context_.reset();
        return error ? error : first;
    }

    // A connection that has subscribed uses these three functions, and not `call`.

    /// Sends a command. `next_message` returns its reply.   Errors: as `call`.
    template <std::size_t N>
    [[nodiscard]] std::error_code post(const std::string_view (&words)[N]) noexcept {
        words_[0] = '\0';
        if (context_ == nullptr) {
            if (const std::error_code error = connect()) return error;
        }
        std::unique_ptr<char, RedisFree> command;
        const std::string_view bytes = format(words, command);
        if (bytes.empty()) return std::make_error_code(std::errc::not_enough_memory);
        const std::error_code error = send(bytes, Clock::now() + options_.command_timeout);
        if (error) context_.reset();
        return error;
    }
    /// Returns the next message of Redis; no reply if there is none at present.   Errors: as
    /// `call`.
    [[nodiscard]] std::error_code next_message(RedisReply& reply) noexcept {
        reply.reset();
        if (context_ == nullptr) return make_error_code(redis::Errc::connection_lost);
        const std::error_code error = receive(reply, Clock::now());
        if (error == redis::Errc::no_answer) return {};
        if (error) context_.reset();
        return error;
    }
    /// Returns the descriptor for poll(2); -1 while there is no connection.
    [[nodiscard]] int descriptor() const noexcept { return context_ ? context_->fd : -1; }
    /// Returns how often it has connected.
    [[nodiscard]] std::uint64_t connections() const noexcept { return connections_; }
    void close() noexcept { context_.reset(); }

    /// Returns the text of Redis for the last failure; "" if there was none.
    [[nodiscard]] const char* last_words() const noexcept { return words_; }
    /// Returns the address of the server.   Throws: std::bad_alloc.
    [[nodiscard]] std::string peer() const {
        std::string place = options_.socket.empty()
                                ? options_.host + ":" + std::to_string(options_.port)
                                : options_.socket;
        return has_sentinels() ? options_.sentinels.master + " at " + place : place;
    }

private:
    using Clock = std::chrono::steady_clock;
    /// A reply may have this many bytes in addition to the longest record.
    [[nodiscard]] std::size_t reply_bytes_max() const noexcept {
        return options_.record_bytes_max + (std::size_t{64} << 20);
    }

    /// Whether there is a connection that the server has not closed meanwhile. If there is none,
    /// connecting again loses nothing, so a restarted server or its idle timeout causes no error.
    [[nodiscard]] bool is_open() noexcept {
        if (context_ == nullptr) return false;
        // No command is pending, so there must be no unread or buffered bytes.
        char byte = 0;
        short events = 0;
        const ssize_t got = options_.tls != nullptr
                                ? read_some(&byte, 1, events)
                                : ::recv(context_->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        const bool is_quiet = got < 0 && (posix::detail::would_block(errno) || errno == EINTR);
        if (is_quiet && context_->reader->pos == context_->reader->len) return true;
        words_[0] = '\0';  // of TLS
        context_.reset();
        return false;
    }

    [[nodiscard]] bool has_sentinels() const noexcept {
        return !options_.sentinels.addresses.empty();
    }

    [[nodiscard]] std::error_code connect() noexcept {
        std::error_code error = has_sentinels() ? find_master() : std::error_code{};
        if (!error) error = dial(options_.user, options_.password);
        if (!error) error = before_commands(inspect_server());
        if (!error) ++connections_;
        return error;
    }
    /// Asks one Sentinel after the other, beginning with the last that answered, where the master
    /// is.   Source: "Guidelines for Redis clients with support for Redis Sentinel", redis.io.
    [[nodiscard]] std::error_code find_master() noexcept {
        std::error_code error;
        const std::vector<std::string>& addresses = options_.sentinels.addresses;
        for (std::size_t i = 0; i < addresses.size(); ++i) {
            const std::size_t at = (last_sentinel_ + i) % addresses.size();
            error = ask_sentinel(addresses[at]);
            if (error) continue;
            last_sentinel_ = at;
            break;
        }
        return error;
    }
    [[nodiscard]] std::error_code ask_sentinel(const std::string& address) noexcept {
        std::string_view host;
        options_.port = redis_port(address, host);
        options_.host.assign(host);
        if (const std::error_code error =
                dial(options_.sentinels.user, options_.sentinels.password))
            return error;
        RedisReply reply;
        const std::error_code error =
            exchange({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", options_.sentinels.master}, reply,
                     options_.connect_timeout);
        if (error) return before_commands(error);
        context_.reset();
        unsigned port = 0;
        const std::string_view digits = reply_text(reply_at(reply.get(), 1));
        host = reply_text(reply_at(reply.get(), 0));
        std::from_chars(digits.data(), digits.data() + digits.size(), port);
        if (host.empty() || host.size() > redis_host_max || port == 0 || port > 65'535) {
            keep_words("the Sentinel has no master of this name");
            return std::make_error_code(std::errc::host_unreachable);
        }
        words_[0] = '\0';  // those of a Sentinel that was asked before
        options_.host.assign(host);
        options_.port = static_cast<std::uint16_t>(port);
        return {};
    }
    /// Connects to the present address, and logs in.
    [[nodiscard]] std::error_code dial(const std::string& user,
                                       const std::string& password) noexcept {
        const Clock::time_point deadline = Clock::now() + options_.connect_timeout;
        int system = connect_once(options_.connect_timeout);
        // A signal interrupts the waiting of hiredis.
        while (system == EINTR && Clock::now() < deadline) {
            system = connect_once(std::chrono::ceil<Milliseconds>(deadline - Clock::now()));
        }
        if (system == EINTR) system = ETIMEDOUT;
        if (system != 0) {
            if (context_ != nullptr) keep_words(context_->errstr);
            context_.reset();
            return {system, std::generic_category()};
        }
        ::fcntl(context_->fd, F_SETFD, FD_CLOEXEC);
        limit_elements(*context_->reader);
        // A long wait must detect that the other machine is gone. All else works without
        // keep-alive.
        if (options_.socket.empty()) static_cast<void>(redisEnableKeepAlive(context_.get()));
        std::error_code error = secure(deadline);
        if (!error) error = log_in(user, password);
        return before_commands(error);
    }
    /// Makes the handshake of TLS, if the options have it.
    [[nodiscard]] std::error_code secure(Clock::time_point deadline) noexcept {
        tls_session_ = nullptr;
        while (options_.tls != nullptr) {
            const RedisTlsStep step =
                options_.tls->handshake(*context_, tls_session_, options_.host);
            if (step.count > 0) break;
            if (step.events == 0) {
                keep_words(step.reason);
                return step.error;
            }
            if (const std::error_code error = wait_for(step.events, deadline)) {
                keep_words("the server did not answer the handshake of TLS");
                return error;
            }
        }
        return {};
    }
    /// Limits the memory that the announced length of an array takes. Before version 1.0, hiredis
    /// has no limit of its own.
    template <class Reader>
    void limit_elements(Reader& reader) const noexcept {
        // The shortest element has three bytes.
        if constexpr (requires { reader.maxelements; })
            reader.maxelements = static_cast<decltype(reader.maxelements)>(reply_bytes_max() / 3);
    }
    /// Returns the error of a connection on which no command of the caller was sent yet, so that
    /// its outcome is not unknown. Closes the connection.
    [[nodiscard]] std::error_code before_commands(const std::error_code& error) noexcept {
        if (error) context_.reset();
        if (error == redis::Errc::no_answer) return std::make_error_code(std::errc::timed_out);
        if (error == redis::Errc::connection_lost) {
            return std::make_error_code(std::errc::connection_reset);
        }
        return error;
    }
    /// Whether a dial to a free port of this machine has connected to itself.
    [[nodiscard]] bool is_connected_to_itself() const noexcept {
        posix::detail::Socket socket{context_->fd};
        const bool is_itself = posix::detail::connected_to_itself(socket);
        static_cast<void>(socket.release());
        return is_itself;
    }
    /// Returns 0, or the errno.
    [[nodiscard]] int connect_once(Milliseconds time) noexcept {
        // The time may be over by now, and 0 would mean no limit.
        if (time.count() < 1) time = Milliseconds{1};
        timeval limit{};
        limit.tv_sec = static_cast<int>(time.count() / 1000);
        limit.tv_usec = static_cast<int>(time.count() % 1000 * 1000);
        errno = 0;
        received_ = 0;
        context_.reset(options_.socket.empty()
                           ? redisConnectWithTimeout(options_.host.c_str(), options_.port, limit)
                           : redisConnectUnixWithTimeout(options_.socket.c_str(), limit));
        const int system = errno;
        if (context_ == nullptr) return ENOMEM;
        if (context_->err == 0) return is_connected_to_itself() ? ECONNREFUSED : 0;
        // An unknown name has no errno, unless the look-up itself failed.
        const bool has_errno =
            (context_->err == REDIS_ERR_IO && system != 0) || system == EMFILE || system == ENFILE;
        return has_errno ? system : EHOSTUNREACH;
    }
    [[nodiscard]] std::error_code log_in(const std::string& user,
                                         const std::string& password) noexcept {
        if (user.empty() && password.empty()) return {};
        RedisReply reply;
        const std::error_code error =
            user.empty() ? exchange({"AUTH", password}, reply, options_.connect_timeout)
                         : exchange({"AUTH", user, password}, reply, options_.connect_timeout);
        // A server that lacks the command quotes the password in its error.
        if (error == redis::Errc::too_old) words_[0] = '\0';
        return error;
    }

    /// Rejects a server of the wrong kind. HELLO needs no permission. A proxy may lack it.
    [[nodiscard]] std::error_code inspect_server() noexcept {
        if (!rejects_cluster_ && !has_sentinels()) return {};
        RedisReply reply;
        const std::error_code error = exchange({"HELLO", "2"}, reply, options_.connect_timeout);
        if (context_ == nullptr) return error;
        words_[0] = '\0';
        for (std::size_t i = 0; reply_at(reply.get(), i + 1) != nullptr; i += 2) {
            const std::string_view name = reply_text(reply_at(reply.get(), i));
            const std::string_view value = reply_text(reply_at(reply.get(), i + 1));
            if (rejects_cluster_ && name == "mode" && value == "cluster")
                return make_error_code(redis::Errc::cluster);
            if (has_sentinels() && name == "role" && value != "master") {
                keep_words("Sentinel named a server that is not, or not yet, a master");
                return make_error_code(redis::Errc::read_only);
            }
        }
        return {};
    }

    /// Returns the bytes of a command, which `owner` keeps; none if there is no memory.
    template <std::size_t N>
    [[nodiscard]] static std::string_view format(const std::string_view (&words)[N],
                                                 std::unique_ptr<char, RedisFree>& owner) noexcept {
        const char* texts[N];
        std::size_t lengths[N];
        for (std::size_t i = 0; i < N; ++i) {
            texts[i] = words[i].data();
            lengths[i] = words[i].size();
        }
        char* formatted = nullptr;
        const long long length =
            redisFormatCommandArgv(&formatted, static_cast<int>(N), texts, lengths);
        if (length < 0) return {};
        owner.reset(formatted);
        return {formatted, static_cast<std::size_t>(length)};
    }
    template <std::size_t N>
    [[nodiscard]] std::error_code exchange(const std::string_view (&words)[N], RedisReply& reply,
                                           Milliseconds limit) noexcept {
        std::unique_ptr<char, RedisFree> command;
        const std::string_view bytes = format(words, command);
        if (bytes.empty()) return std::make_error_code(std::errc::not_enough_memory);

        const Clock::time_point deadline = Clock::now() + limit;
        std::error_code error = send(bytes, deadline);
        if (!error) {
            error = receive(reply, deadline);
        } else if (error == redis::Errc::connection_lost && !receive(reply, Clock::now()) &&
                   reply->type == REDIS_REPLY_ERROR) {
            // Redis refused the command before it had read all of it, reported why, and closed.
            error = {};
        }
        if (error) {
            context_.reset();
            reply.reset();
            return error;
        }
        return error_in(*reply);
    }
    /// Returns the error that a reply is, if it is one.
    [[nodiscard]] std::error_code error_in(const redisReply& reply) noexcept {
        if (reply.type != REDIS_REPLY_ERROR) return {};
        const std::string_view words_of_error{reply.str, reply.len};
        keep_words(words_of_error);
        const std::error_code code = code_of_redis(words_of_error);
        if (code == redis::Errc::read_only) leave_replica();
        return code;
    }
    /// A former master may keep its connections. The next call finds the present one: by the
    /// Sentinels, or where the name or the proxy leads by then. The latter may lead to a replica
    /// for long, and must not cost a dial per call.
    void leave_replica() noexcept {
        const Clock::time_point now = Clock::now();
        if (!has_sentinels() && now < stays_until_) return;
        stays_until_ = now + std::chrono::seconds{1};
        context_.reset();
    }
    [[nodiscard]] std::error_code send(std::string_view bytes,
                                       Clock::time_point deadline) noexcept {
        while (!bytes.empty()) {
            short events = POLLOUT;
            const ssize_t sent = write_some(bytes, events);
            if (sent >= 0) {
                bytes.remove_prefix(static_cast<std::size_t>(sent));
            } else if (const std::error_code error = wait(events, deadline)) {
                return error;
            }
        }
        return {};
    }
    [[nodiscard]] std::error_code receive(RedisReply& reply, Clock::time_point deadline) noexcept {
        for (bool late = false;;) {
            void* got = nullptr;
            if (redisReaderGetReply(context_->reader, &got) != REDIS_OK) return bad_reply();
            if (got != nullptr) {
                received_ = 0;
                reply.reset(static_cast<redisReply*>(got));
                return {};
            }
            // Also a server whose bytes keep coming ends at the deadline.
            if (late) return make_error_code(redis::Errc::no_answer);
            if (received_ > reply_bytes_max()) return long_reply();
            char buffer[16384];
            short events = POLLIN;
            const ssize_t count = read_some(buffer, sizeof buffer, events);
            if (count == 0) return make_error_code(redis::Errc::connection_lost);
            if (count < 0) {
                if (const std::error_code error = wait(events, deadline)) return error;
            } else if (redisReaderFeed(context_->reader, buffer, static_cast<std::size_t>(count)) !=
                       REDIS_OK) {
                return bad_reply();
            } else {
                received_ += static_cast<std::size_t>(count);
                late = Clock::now() >= deadline;
            }
        }
    }
    // Like send(2) and recv(2) without waiting. TLS may change what to wait for: `events`.
    [[nodiscard]] ssize_t write_some(std::string_view bytes, short& events) noexcept {
        if (options_.tls != nullptr)
            return result_of(options_.tls->send(tls_session_, bytes), events);
        return ::send(context_->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    [[nodiscard]] ssize_t read_some(char* to, std::size_t size, short& events) noexcept {
        if (options_.tls != nullptr)
            return result_of(options_.tls->receive(tls_session_, to, size), events);
        return ::recv(context_->fd, to, size, MSG_DONTWAIT);
    }
    [[nodiscard]] ssize_t result_of(const RedisTlsStep& step, short& events) noexcept {
        if (step.count > 0) return step.count;
        if (step.events == 0) keep_words(step.reason);
        events = step.events;
        errno = step.events != 0 ? EAGAIN : ECONNRESET;
        return -1;
    }
    [[nodiscard]] std::error_code long_reply() noexcept {
        char words[64];
        std::snprintf(words, sizeof words, "it is longer than %zu MiB", reply_bytes_max() >> 20);
        keep_words(words);
        return make_error_code(redis::Errc::reply_too_long);
    }
    [[nodiscard]] std::error_code bad_reply() noexcept {
        keep_words(context_->reader->errstr);
        return make_error_code(redis::Errc::bad_reply);
    }
    /// Waits after a call that failed with errno, until it can be tried again.
    [[nodiscard]] std::error_code wait(short events, Clock::time_point deadline) noexcept {
        if (errno == EINTR) return {};
        if (!posix::detail::would_block(errno))
            return make_error_code(redis::Errc::connection_lost);
        return wait_for(events, deadline);
    }
    [[nodiscard]] std::error_code wait_for(short events, Clock::time_point deadline) noexcept {
        pollfd polled{context_->fd, events, 0};
        for (;;) {
            // Rounds up to a whole millisecond, or the loop would spin during the last one.
            const auto left = std::chrono::ceil<Milliseconds>(deadline - Clock::now()).count();
            if (left <= 0) return make_error_code(redis::Errc::no_answer);
            const int ready = ::poll(&polled, 1, static_cast<int>(left < 60'000 ? left : 60'000));
            if (ready > 0) return {};
            if (ready < 0 && errno != EINTR) return make_error_code(redis::Errc::connection_lost);
        }
    }

    void keep_words(std::string_view words) noexcept {
        const std::size_t count = words.size() < sizeof words_ ? words.size() : sizeof words_ - 1;
        for (std::size_t i = 0; i < count; ++i) words_[i] = words[i];
        words_[count] = '\0';
    }

    std::unique_ptr<redisContext, RedisFree> context_;
    redis::Options options_{};         // with Sentinels, host and port are those of the last master
    std::size_t last_sentinel_ = 0;    // that answered
    void* tls_session_ = nullptr;      // the context owns it
    std::size_t received_ = 0;         // of a reply that is not complete
    Clock::time_point stays_until_{};  // also at a replica
    bool rejects_cluster_ = false;
    std::uint64_t connections_ = 0;
    char words_[200] = "";
};

}}}  // namespace belay::detail
