// SPDX-License-Identifier: MIT
/// \file tests/support/redis/server.hpp
/// A redis-server of its own for one test case.
#pragma once

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <poll.h>

#include <chrono>
#include <fstream>
#include <initializer_list>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <belay/redis/stream.hpp>

#include "support/child_process.hpp"
#include "support/eventually.hpp"
#include "support/temporary_directory.hpp"

namespace belay_test {

inline belay::redis::Stream opened(const belay::redis::Options& options) {
    auto queue = belay::redis::Stream::open(options);
    INFO((queue ? "" : queue.error().message()));
    REQUIRE(queue);
    return std::move(*queue);
}
/// The reason why the queue does not open.
inline belay::redis::Error refused(const belay::redis::Options& options) {
    const auto queue = belay::redis::Stream::open(options);
    REQUIRE_FALSE(queue);
    return queue.error();
}
inline void push(belay::redis::Stream& queue, std::string_view text) {
    REQUIRE_FALSE(queue.try_push(belay::as_bytes(text)));
}
/// The text of the first value, or the reason why there is none.
inline std::string first_of(belay::redis::Stream&& queue) {
    const auto first = queue.front();
    return first ? std::string{belay::as_text(*first)} : first.error().message();
}
inline std::string first_of(belay::redis::Stream& queue) { return first_of(std::move(queue)); }

/// Listens on a Unix domain socket in a directory that is removed with it. `settings` are those of
/// redis.conf.
class RedisServer : public ChildProcess {
public:
    using Settings = std::vector<std::string>;

    explicit RedisServer(Settings settings = {}) : RedisServer{std::move(settings), {}} {}
    /// Reads the file, and may change it.
    RedisServer(Settings settings, std::string file)
        : settings_{std::move(settings)}, file_{std::move(file)} {
        start();
    }
    ~RedisServer() { kill(); }

    [[nodiscard]] std::string socket() const { return directory_ / "socket"; }
    /// A queue on the stream "jobs" of this server. Its lease never ends on its own in a test: see
    /// `age`.
    [[nodiscard]] belay::redis::Options options(const std::string& consumer) const {
        belay::redis::Options options{.stream = "jobs", .consumer = consumer};
        options.socket = socket();
        options.lease = std::chrono::hours{1};
        return options;
    }
    [[nodiscard]] belay::redis::Stream open(const std::string& consumer) const {
        return opened(options(consumer));
    }
    /// Lets an hour pass for all leases of the consumer.
    void age(const std::string& consumer) const {
        const std::string script =
            "for _, p in ipairs(redis.call('XPENDING', 'jobs', 'belay', '-', '+', 99, ARGV[1])) do "
            "redis.call('XCLAIM', 'jobs', 'belay', ARGV[1], 0, p[1], 'IDLE', 3600000, 'JUSTID') "
            "end";
        command({"EVAL", script, "0", consumer});
    }

    /// Starts it again, with the data that it saved.
    void start() {
        const auto asked_for = [this](const std::string& name) {
            for (const std::string& setting : settings_) {
                if (setting == name) return true;
            }
            return false;
        };
        std::vector<std::string> words{"redis-server"};
        if (!file_.empty()) words.push_back(file_);
        words.insert(words.end(), {"--unixsocket", socket(), "--dir", directory_.path(),
                                   "--logfile", directory_ / "log"});
        if (!asked_for("--sentinel")) words.insert(words.end(), {"--save", ""});
        if (!asked_for("--port")) words.insert(words.end(), {"--port", "0"});
        words.insert(words.end(), settings_.begin(), settings_.end());
        const std::vector<char*> argv = argv_of(words);
        if (forks()) {
            const int null = ::open("/dev/null", O_RDWR);
            for (int fd = 0; fd <= 2; ++fd) ::dup2(null, fd);
            ::execvp(argv[0], argv.data());
            // The same program under another name, which it checks. Debian's redis-tools have it,
            // without a service.
            ::execvp("redis-check-rdb", argv.data());
            ::_exit(127);
        }
        INFO("redis-server does not answer");
        REQUIRE(eventually([&] {
            if (has_ended()) FAIL("redis-server ended: " << log());
            return answers();
        }));
    }

    /// The reply to a command of another program, as text; numbers in decimal, arrays with commas.
    /// Any thread.
    std::string command(std::initializer_list<std::string> words) const {
        const Context context{redisConnectUnix(socket().c_str()), &redisFree};
        if (context == nullptr || context->err != 0) return "no connection";
        return command(context.get(), words);
    }
    /// The same as a user without a password.
    std::string command_of(const std::string& user,
                           std::initializer_list<std::string> words) const {
        const Context context{redisConnectUnix(socket().c_str()), &redisFree};
        if (context == nullptr || context->err != 0) return "no connection";
        command(context.get(), {"AUTH", user, "any"});
        return command(context.get(), words);
    }

private:
    [[nodiscard]] std::string log() const {
        std::stringstream text;
        text << std::ifstream{directory_ / "log"}.rdbuf();
        return text.str();
    }
    using Context = std::unique_ptr<redisContext, void (*)(redisContext*)>;

    static std::string command(redisContext* context, std::initializer_list<std::string> words) {
        std::vector<const char*> texts;
        std::vector<std::size_t> lengths;
        for (const std::string& word : words) {
            texts.push_back(word.data());
            lengths.push_back(word.size());
        }
        auto* const reply = static_cast<redisReply*>(redisCommandArgv(
            context, static_cast<int>(texts.size()), texts.data(), lengths.data()));
        if (reply == nullptr) return "no reply";
        const std::string text = text_of(*reply);
        freeReplyObject(reply);
        return text;
    }
    static std::string text_of(const redisReply& reply) {
        if (reply.type == REDIS_REPLY_INTEGER) return std::to_string(reply.integer);
        if (reply.type == REDIS_REPLY_NIL) return "nil";
        if (reply.type != REDIS_REPLY_ARRAY) return {reply.str, reply.len};
        std::string text;
        for (std::size_t i = 0; i < reply.elements; ++i) {
            if (i > 0) text += ',';
            text += text_of(*reply.element[i]);
        }
        return text;
    }
    [[nodiscard]] bool answers() const {
        const Context context{redisConnectUnix(socket().c_str()), &redisFree};
        if (context == nullptr || context->err != 0) return false;
        const std::string answer = command(context.get(), {"PING"});
        return answer == "PONG" || answer.starts_with("NOAUTH");
    }

    TemporaryDirectory directory_;
    Settings settings_;
    std::string file_;
};

}  // namespace belay_test
