// SPDX-License-Identifier: MIT
// Goal: a redis::Stream reports each failure, loses no value, and continues after it. Method:
// servers that reject, are frozen or killed; connections that break at a chosen place.
#include <belay/redis/stream.hpp>

#include <arpa/inet.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <filesystem>
#include <map>
#include <thread>

#include <belay/core/random.hpp>
#include <belay/queue/queue.hpp>

#include "support/posix/raw_socket.hpp"
#include "support/redis/proxy.hpp"
#include "support/redis/server.hpp"

using namespace belay;
using namespace std::literals;
using belay_test::first_of;
using belay_test::in_child;
using belay_test::opened;
using belay_test::push;
using belay_test::RedisProxy;
using belay_test::RedisServer;
using belay_test::refused;
using Fault = RedisProxy::Fault;

namespace {

redis::Stream open_through(const RedisServer& server, const RedisProxy& proxy) {
    redis::Options options = server.options("one");
    options.socket = proxy.socket();
    return opened(options);
}

/// Returns all values, in order.
std::string all_of(redis::Stream& queue) {
    std::string all;
    while (const auto value = queue.try_pop()) all += as_text(*value);
    return all;
}

}  // namespace

TEST_CASE("redis::Stream::open reports the fault of a key", "[redis][redis_stream][fault]") {
    const RedisServer server;
    server.command({"SET", "jobs", "text"});
    const redis::Error wrong = refused(server.options("one"));
    CHECK(wrong.code == redis::Errc::wrong_type);
    CHECK(wrong.message() == server.socket() + ", stream jobs: the key does not hold a stream (" +
                                 wrong.what + "): choose a key that only this queue uses.");
    CHECK(wrong.what.starts_with("WRONGTYPE "));
    CHECK(server.command({"GET", "jobs"}) == "text");

    server.command({"XGROUP", "CREATE", "theirs", "them", "$", "MKSTREAM"});
    redis::Options options = server.options("one");
    options.stream = "theirs";
    const redis::Error other = refused(options);
    CHECK(other.code == redis::Errc::other_group);
    CHECK(other.what == "the group them");
    CHECK(server.command({"XINFO", "GROUPS", "theirs"}).find("belay") == std::string::npos);
    options.group = "them";
    opened(options);
}

TEST_CASE("redis::Stream::open reports a missing permission", "[redis][redis_stream][fault]") {
    const RedisServer server;
    redis::Options options = server.options("one");
    options.password = "not asked for";
    CHECK(refused(options).code == redis::Errc::unauthorized);
    server.command({"ACL", "SETUSER", "worker", "on", ">secret", "~jobs", "-@all", "+eval", "+xadd",
                    "+xlen", "+xgroup", "+xinfo", "+xreadgroup", "+xpending", "+xclaim",
                    "+xautoclaim", "+xack", "+xdel"});
    server.command({"ACL", "SETUSER", "reader", "on", ">secret", "~jobs", "+@read"});
    server.command({"ACL", "SETUSER", "default", "off"});
    CHECK(refused(server.options("one")).code == redis::Errc::unauthorized);
    options.user = "worker";
    options.password = "wrong";
    const redis::Error wrong = refused(options);
    CHECK(wrong.code == redis::Errc::unauthorized);
    CHECK(wrong.what.starts_with("WRONGPASS"));
    options.password = "secret";
    redis::Stream queue = opened(options);
    push(queue, "a");
    push(queue, "b");
    // The advice for `forbidden` names all needed permissions.
    CHECK(first_of(queue) == "a");
    CHECK_FALSE(queue.renew());
    CHECK_FALSE(queue.nack());
    CHECK(all_of(queue) == "ab");
    CHECK(queue.front_wait(1ms).error() == QueueErrc::queue_empty);
    options.user = "reader";
    CHECK(refused(options).code == redis::Errc::forbidden);
}

TEST_CASE("redis::Stream::open uses the password of the server", "[redis][redis_stream][fault]") {
    const RedisServer server{{"--requirepass", "se cret"}};
    CHECK(refused(server.options("one")).code == redis::Errc::unauthorized);
    redis::Options options = server.options("one");
    options.password = "se cret";
    CHECK(opened(options).size() == 0);
}

TEST_CASE("redis::Stream::open reports that there is no server", "[redis][redis_stream][fault]") {
    const belay_test::TemporaryDirectory dir;
    redis::Options options{.stream = "jobs", .consumer = "one"};
    options.socket = dir / "none";
    const redis::Error none = refused(options);
    CHECK(none.code == std::errc::no_such_file_or_directory);
    CHECK(none.message().find("start Redis, or correct") != std::string::npos);
    RedisServer server;
    server.kill();
    CHECK(refused(server.options("one")).code == std::errc::connection_refused);
}

TEST_CASE("redis::Stream::open needs XAUTOCLAIM", "[redis][redis_stream][fault]") {
    const RedisServer server{{"--rename-command", "XAUTOCLAIM", ""}};
    const redis::Error old = refused(server.options("one"));
    CHECK(old.code == redis::Errc::too_old);
    CHECK(old.message().find("Redis 6.2") != std::string::npos);
}

TEST_CASE("redis::Stream reports a server that rejects writes, and continues when it accepts them",
          "[redis][redis_stream][fault]") {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    push(queue, "a");
    push(queue, "b");

    server.command({"CONFIG", "SET", "maxmemory", "1"});
    CHECK(queue.try_push(as_bytes("x")) == redis::Errc::out_of_memory);
    CHECK(queue.size() == 2);
    // Leases free memory, and are possible, also for a new consumer.
    CHECK(as_text(*server.open("two").try_pop()) == "a");
    server.command({"CONFIG", "SET", "maxmemory", "0"});
    push(queue, "c");

    server.command({"REPLICAOF", "127.0.0.1", "1"});
    CHECK(queue.try_push(as_bytes("x")) == redis::Errc::read_only);
    CHECK(queue.front().error() == redis::Errc::read_only);
    CHECK_FALSE(queue.try_pop());
    server.command({"REPLICAOF", "NO", "ONE"});

    REQUIRE(first_of(queue) == "b");
    server.command({"CONFIG", "SET", "min-replicas-to-write", "1"});
    CHECK(queue.try_push(as_bytes("x")) == redis::Errc::cannot_persist);
    CHECK(queue.ack() == redis::Errc::cannot_persist);
    CHECK(first_of(queue) == "b");
    server.command({"CONFIG", "SET", "min-replicas-to-write", "0"});
    CHECK_FALSE(queue.ack());
    CHECK(all_of(queue) == "c");
}

TEST_CASE("redis::Stream leaves a server that has become a replica",
          "[redis][redis_stream][regression]") {
    const RedisServer first;
    const RedisServer second;
    // The address leads to the master, like a name or a proxy.
    const belay_test::TemporaryDirectory directory;
    const std::string name = directory / "master";
    std::filesystem::create_symlink(first.socket(), name);
    redis::Options options = first.options("one");
    options.socket = name;
    redis::Stream queue = opened(options);
    push(queue, "a");
    redis::Stream other = second.open("one");
    push(other, "b");
    // Existing connections stay.
    CHECK(first.command({"REPLICAOF", "127.0.0.1", "1"}) == "OK");
    std::filesystem::remove(name);
    std::filesystem::create_symlink(second.socket(), name);
    CHECK(queue.try_push(as_bytes("x")) == redis::Errc::read_only);
    push(queue, "c");
    CHECK(all_of(queue) == "bc");
}

TEST_CASE("redis::Stream connects to a server that stays a replica at most once per second",
          "[redis][redis_stream][regression]") {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    server.command({"REPLICAOF", "127.0.0.1", "1"});
    const auto connections = [&] { return std::stoll(server.command({"CLIENT", "ID"})); };
    const auto start = std::chrono::steady_clock::now();
    const auto before = connections();
    for (int i = 0; i < 100; ++i) {
        CHECK(queue.try_push(as_bytes("x")) == redis::Errc::read_only);
    }
    const auto dials = connections() - before - 1;
    const auto seconds =
        std::chrono::ceil<std::chrono::seconds>(std::chrono::steady_clock::now() - start).count();
    CHECK(dials <= seconds + 1);
}

TEST_CASE("redis::Stream reports a busy server", "[redis][redis_stream][fault]") {
    const RedisServer server{{"--busy-reply-threshold", "1"}};
    redis::Stream queue = server.open("one");
    push(queue, "a");
    std::thread other{[&] { server.command({"EVAL", "while true do end", "0"}); }};
    // Until the script has run for the threshold, this call waits.
    while (!server.command({"PING"}).starts_with("BUSY")) std::this_thread::yield();
    const std::error_code error = queue.try_push(as_bytes("x"));
    CHECK(error == redis::Errc::not_ready);
    CHECK(queue.explain(error).message().find("wait, and call again") != std::string::npos);
    CHECK(queue.size() == 1);  // the last known size
    server.command({"SCRIPT", "KILL"});
    other.join();
    CHECK(queue.size() == 1);
    CHECK(all_of(queue) == "a");
}

TEST_CASE("redis::Stream reports a deleted stream, until it is opened again",
          "[redis][redis_stream][fault]") {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    push(queue, "a");
    REQUIRE(queue.front());
    server.command({"FLUSHALL"});
    CHECK_FALSE(queue.nack() == std::error_code{});
    CHECK(queue.front().error() == redis::Errc::no_group);
    push(queue, "b");
    const std::error_code error = queue.front_wait(1ms).error();
    CHECK(error == redis::Errc::no_group);
    CHECK(queue.explain(error).message().find("open again") != std::string::npos);
    queue = server.open("one");
    CHECK(all_of(queue) == "b");
}

TEST_CASE("redis::Stream waits for a frozen server no longer than its limit",
          "[redis][redis_stream][fault]") {
    const RedisServer server;
    redis::Options options = server.options("one");
    options.command_timeout = 1s;
    options.connect_timeout = 1s;
    redis::Stream queue = opened(options);
    push(queue, "a");
    CHECK(queue.size() == 1);
    server.freeze();
    CHECK(queue.front().error() == redis::Errc::no_answer);
    CHECK(queue.size() == 1);  // the last known size
    CHECK(queue.try_push(as_bytes("b")) == redis::Errc::no_answer);
    // The value is larger than the buffer of the system for the server.
    CHECK(queue.try_push(Bytes(1 << 20)) == redis::Errc::no_answer);
    server.thaw();
    // The reply to the earlier request is lost: the value is leased to this consumer.
    queue = server.open("one");
    CHECK(first_of(queue) == "a");
    CHECK(as_text(*queue.try_pop()) == "a");
}

TEST_CASE("redis::Stream reconnects to a restarted server without an error",
          "[redis][redis_stream][fault]") {
    RedisServer server{{"--appendonly", "yes", "--appendfsync", "always"}};
    redis::Stream queue = server.open("one");
    redis::Stream idle = server.open("idle");
    push(queue, "a");
    push(queue, "b");
    REQUIRE(queue.front());
    server.kill();
    const std::error_code error = queue.try_push(as_bytes("x"));
    CHECK(error == std::errc::connection_refused);
    CHECK(queue.explain(error).message().find("the next call connects again") != std::string::npos);
    CHECK(queue.ack() == std::errc::connection_refused);
    CHECK(first_of(queue) == "a");
    server.start();
    // The leased value is still leased to the same consumer.
    CHECK(first_of(idle) == "b");
    CHECK_FALSE(queue.ack());
    CHECK(queue.size() == 1);
}

TEST_CASE("redis::Stream::try_push returns whether a value was not sent, or not answered",
          "[redis][redis_stream][fault]") {
    const RedisServer server;
    RedisProxy proxy{server.socket()};
    redis::Stream queue = open_through(server, proxy);
    proxy.next(Fault::lose_command);
    CHECK(queue.try_push(as_bytes("a")) == redis::Errc::connection_lost);
    CHECK(queue.size() == 0);
    proxy.next(Fault::lose_reply);
    const std::error_code error = queue.try_push(as_bytes("b"));
    CHECK(error == redis::Errc::connection_lost);
    CHECK(queue.explain(error).message().find("may have been stored") != std::string::npos);
    push(queue, "c");
    // The connection ends during a write, which must not end the process.
    proxy.next(Fault::lose_command);
    CHECK(queue.try_push(Bytes(1 << 20)) == redis::Errc::connection_lost);
    // "b" was stored although the reply was lost, as the error stated.
    CHECK(all_of(queue) == "bc");
}

TEST_CASE("redis::Stream: a lost reply loses no value", "[redis][redis_stream][fault]") {
    const RedisServer server;
    RedisProxy proxy{server.socket()};
    redis::Stream queue = open_through(server, proxy);
    for (const char* text : {"a", "b", "c", "d", "e", "f", "g"}) push(queue, text);
    std::string taken;
    for (const Fault fault : {Fault::lose_command, Fault::lose_reply, Fault::garbled_reply}) {
        const redis::Errc expected =
            fault == Fault::garbled_reply ? redis::Errc::bad_reply : redis::Errc::connection_lost;
        proxy.next(fault);
        CHECK(queue.front().error() == expected);
        REQUIRE(queue.front());
        // The value counts as removed in both cases, and does not return.
        proxy.next(fault);
        taken += as_text(*queue.try_pop());
        // The lease continues then.
        const std::string kept = first_of(queue);
        proxy.next(fault);
        CHECK(queue.ack() == expected);
        CHECK(first_of(queue) == kept);
        CHECK_FALSE(queue.ack());
        taken += kept;
        proxy.next(fault);
        CHECK(queue.front_wait(1ms).error() == expected);
        REQUIRE(queue.front());
        proxy.next(fault);
        CHECK(queue.nack() == expected);
        REQUIRE(queue.front());
        proxy.next(fault);
        CHECK(queue.renew() == expected);
        CHECK_FALSE(queue.renew());
        CHECK_FALSE(queue.nack());
    }
    CHECK(taken == "abcdef");
    CHECK(first_of(queue) == "g");
    CHECK(queue.size() == 1);
}

TEST_CASE("redis::Stream::try_pop loses no value when its command or reply is lost",
          "[redis][redis_stream][regression]") {
    const RedisServer server;
    RedisProxy proxy{server.socket()};
    std::string taken;
    for (const Fault fault : {Fault::lose_command, Fault::lose_reply}) {
        redis::Stream queue = open_through(server, proxy);
        push(queue, "a");
        REQUIRE(queue.front());
        proxy.next(fault);
        if (const auto value = queue.try_pop()) taken += as_text(*value);
        queue = server.open("one");
        taken += all_of(queue);
    }
    // Redis had not removed the first, so it was returned again.
    CHECK(taken == "aaa");
}

TEST_CASE("redis::Stream does not mistake an answer to another command for its own",
          "[redis][redis_stream][regression]") {
    const RedisServer server;
    RedisProxy proxy{server.socket()};
    redis::Stream queue = open_through(server, proxy);
    proxy.next(Fault::double_reply);
    push(queue, "a");
    CHECK(queue.size() == 1);
    proxy.next(Fault::double_reply);
    CHECK(queue.size() == 1);
    push(queue, "b");
    CHECK(queue.size() == 2);
}

TEST_CASE("redis::Stream limits the length of a reply", "[redis][redis_stream][fault]") {
    const RedisServer server;
    RedisProxy proxy{server.socket()};
    redis::Options options = server.options("one");
    options.socket = proxy.socket();
    options.command_timeout = 15min;
    redis::Stream queue = opened(options);
    push(queue, "a");
    proxy.next(Fault::endless_reply);
    CHECK(queue.try_push(as_bytes("b")) == redis::Errc::reply_too_long);
    CHECK(queue.explain(redis::Errc::reply_too_long).what == "it is longer than 65 MiB");
    CHECK(all_of(queue) == "ab");
}

TEST_CASE("RedisConnection ends a call in time while bytes of its reply arrive",
          "[redis][redis_stream][fault]") {
    const belay_test::RawSocket server = belay_test::RawSocket::listen();
    detail::RedisConnection connection;
    connection.use({.stream = "jobs", .consumer = "one", .port = server.port()});
    REQUIRE_FALSE(connection.post({"PING"}));
    const belay_test::RawSocket peer = server.accept();
    peer.send("$1000000\r\n" + std::string(50'000, 'z'));
    const auto unread = [&] {
        int bytes = 0;
        REQUIRE(::ioctl(connection.descriptor(), FIONREAD, &bytes) == 0);
        return bytes;
    };
    while (unread() < 50'000) ::poll(nullptr, 0, 1);
    // There is no time to wait, so it reads one piece.
    detail::RedisReply reply;
    CHECK_FALSE(connection.next_message(reply));
    CHECK(reply == nullptr);
    CHECK(unread() > 0);
}

TEST_CASE("redis::Stream without the permission to delete loses no value",
          "[redis][redis_stream][regression]") {
    const RedisServer server;
    server.command({"ACL", "SETUSER", "worker", "on", ">secret", "~jobs", "+@all", "-xdel"});
    redis::Options options = server.options("one");
    options.user = "worker";
    options.password = "secret";
    const redis::Error error = refused(options);
    CHECK(error.code == redis::Errc::forbidden);
    CHECK(error.message().find("XDEL") != std::string::npos);
    server.command({"ACL", "SETUSER", "worker", "+xdel"});
    redis::Stream queue = opened(options);
    push(queue, "a");
    server.command({"ACL", "SETUSER", "worker", "-xdel"});
    CHECK_FALSE(queue.try_pop());
    REQUIRE(first_of(queue) == "a");
    CHECK(queue.ack() == redis::Errc::forbidden);
    redis::Stream other = server.open("one");
    CHECK(all_of(other) == "a");
}

TEST_CASE("redis::Stream::front_wait reports that the stream was deleted meanwhile",
          "[redis][redis_stream][regression]") {
    const RedisServer server;
    redis::Stream queue = server.open("one");
    std::thread other{[&] {
        while (server.command({"INFO", "clients"}).find("blocked_clients:1") == std::string::npos) {
            std::this_thread::yield();
        }
        server.command({"DEL", "jobs"});
    }};
    CHECK(queue.front_wait(1h).error() == redis::Errc::no_group);
    other.join();
}

TEST_CASE("redis::Stream reports the error of a server that closes during a send",
          "[redis][redis_stream][regression]") {
    const RedisServer server{{"--proto-max-bulk-len", "1048576"}};
    redis::Options options = server.options("one");
    options.record_bytes_max = 64 << 20;
    redis::Stream queue = opened(options);
    const std::error_code error = queue.try_push(Bytes(16 << 20));
    CHECK(error == redis::Errc::rejected);
    CHECK(queue.explain(error).message().find("invalid bulk length") != std::string::npos);
    push(queue, "a");
    CHECK(all_of(queue) == "a");
}

TEST_CASE("redis::Error quotes no password", "[redis][redis_stream][regression]") {
    const RedisServer server{{"--rename-command", "AUTH", ""}};
    redis::Options options = server.options("one");
    options.password = "secret";
    const redis::Error error = refused(options);
    CHECK(error.code == redis::Errc::too_old);
    CHECK(error.message().find("secret") == std::string::npos);
}

TEST_CASE("Queue::drain reports an unreachable server", "[redis][redis_stream][regression]") {
    RedisServer server;
    Queue queue{server.open("one")};
    server.kill();
    const DrainReport result = queue.drain([](BytesView) {});
    CHECK(result.drained == 0);
    CHECK(result.error == std::errc::connection_refused);
}

TEST_CASE("redis::Stream::open continues to connect after signals, until its time is over",
          "[redis][redis_stream][regression]") {
    // The socket listens, and its queue is full: further connections wait.
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener, name, length) == 0);
    REQUIRE(::listen(listener, 0) == 0);
    REQUIRE(::getsockname(listener, name, &length) == 0);
    int waiting[4];
    for (int& fd : waiting) {
        fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        static_cast<void>(::connect(fd, name, length));
    }
    CHECK(in_child([&] {
        struct sigaction action {};
        action.sa_handler = [](int) {};
        action.sa_flags = SA_RESTART;
        ::sigaction(SIGALRM, &action, nullptr);
        const itimerval often{{0, 10'000}, {0, 10'000}};
        ::setitimer(ITIMER_REAL, &often, nullptr);
        redis::Options options{
            .stream = "jobs", .consumer = "one", .port = ntohs(address.sin_port)};
        options.connect_timeout = 100ms;
        const auto queue = redis::Stream::open(options);
        return !queue && queue.error().code == std::errc::timed_out;
    }));
    for (const int fd : waiting) ::close(fd);
    ::close(listener);
}

TEST_CASE("redis::Stream::open reports too many open files", "[redis][redis_stream][regression]") {
    CHECK(in_child([&] {
        const rlimit limit{3, 3};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
        redis::Options options{.stream = "jobs", .consumer = "one"};
        const auto over_tcp = redis::Stream::open(options);
        options.socket = "none";
        const auto over_socket = redis::Stream::open(options);
        return !over_tcp && over_tcp.error().code == std::errc::too_many_files_open &&
               !over_socket && over_socket.error().code == std::errc::too_many_files_open;
    }));
}

TEST_CASE("redis::Stream::open reports a connection that breaks off",
          "[redis][redis_stream][fault]") {
    const RedisServer server;
    RedisProxy proxy{server.socket()};
    redis::Options options = server.options("one");
    options.socket = proxy.socket();
    proxy.next(Fault::lose_reply);
    CHECK(refused(options).code == redis::Errc::connection_lost);
    proxy.next(Fault::garbled_reply);
    const redis::Error garbled = refused(options);
    CHECK(garbled.code == redis::Errc::bad_reply);
    CHECK(garbled.message().find("server at this address is Redis") != std::string::npos);
    // No value was requested during the login, so no result is unknown.
    options.password = "secret";
    proxy.next(Fault::lose_reply);
    CHECK(refused(options).code == std::errc::connection_reset);
}

TEST_CASE("redis::Stream keeps confirmed operations through SIGKILL of the server",
          "[redis][redis_stream][fault]") {
    RedisServer server{{"--appendonly", "yes", "--appendfsync", "always"}};
    Random bits{Seed{7}};
    redis::Options options = server.options("one");
    redis::Stream queue = opened(options);
    std::map<int, char> state;  // p: pushed, a: acknowledged, ?: either of them
    int next = 0;
    int repeated = 0;
    for (int round = 0; round < 8; ++round) {
        std::atomic<bool> killed = false;
        std::atomic<int> calls = 0;
        const int most = 20 + static_cast<int>(bits() % 60);
        std::thread killer{[&] {
            while (calls < most) std::this_thread::yield();
            server.kill();
            killed = true;
        }};
        while (!killed) {
            ++calls;
            if (bits() % 5 < 3) {
                const std::error_code error = queue.try_push(as_bytes(std::to_string(next)));
                const bool unknown = error == redis::Errc::connection_lost;
                if (!error || unknown) state[next++] = error ? '?' : 'p';
            } else if (const auto first = queue.front()) {
                const int n = std::stoi(std::string{as_text(*first)});
                if (state[n] == 'a') ++repeated;
                const std::error_code error = queue.ack();
                if (!error) state[n] = 'a';
                if (error == redis::Errc::connection_lost) state[n] = '?';
            }
        }
        killer.join();
        REQUIRE(repeated == 0);
        server.start();
        if (round % 2 == 0) queue = opened(options);
    }
    int last = -1;
    while (const auto value = queue.try_pop()) {
        const int n = std::stoi(std::string{as_text(*value)});
        INFO(n);
        REQUIRE(n > last);
        REQUIRE(state[n] != 'a');
        state[n] = 'a';
        last = n;
    }
    int unknown = 0;
    for (const auto& [n, is] : state) {
        INFO(n);
        REQUIRE(is != 'p');
        unknown += is == '?' ? 1 : 0;
    }
    // One in each round, and a few more while the killed server still seems to listen.
    CHECK(unknown < next / 4);
    CHECK(next > 100);
    CHECK(queue.size() == 0);
}
