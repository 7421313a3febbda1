// SPDX-License-Identifier: MIT
// Goal: consumers share a redis::Stream, and take over the values of a dead one; there may be
// many producers. Method: idle times set in Redis; threads, and processes that are killed.
#include <belay/redis/stream.hpp>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include <belay/core/random.hpp>

#include "support/redis/proxy.hpp"
#include "support/redis/server.hpp"

using namespace belay;
using namespace std::literals;
using belay_test::first_of;
using belay_test::opened;
using belay_test::push;
using belay_test::RedisServer;

namespace {

const std::string empty = make_error_code(QueueErrc::queue_empty).message();

struct TwoConsumers {
    const RedisServer server{};
    redis::Stream one = server.open("one");
    redis::Stream two = server.open("two");
};

}  // namespace

TEST_CASE_METHOD(TwoConsumers, "redis::Stream leases a value to one consumer only",
                 "[redis][redis_stream][unit]") {
    for (const char* text : {"a", "b", "c"}) push(one, text);
    CHECK(first_of(one) == "a");
    CHECK(first_of(two) == "b");
    CHECK(first_of(one) == "a");
    CHECK(two.size() == 3);
    CHECK_FALSE(two.ack());
    CHECK(first_of(two) == "c");
    CHECK_FALSE(one.ack());
    CHECK(first_of(one) == empty);
    CHECK(one.size() == 1);
    CHECK(two.deliveries() == 1);
}

TEST_CASE("redis::Stream: values of a dead consumer pass to another one after the lease",
          "[redis][redis_stream][unit]") {
    const RedisServer server;
    redis::Stream two = server.open("two");
    push(two, "a");
    push(two, "b");
    {
        redis::Stream one = server.open("one");
        REQUIRE(first_of(one) == "a");
    }
    // The first value is older, and its consumer is not known to be dead yet.
    CHECK(first_of(two) == "b");
    CHECK_FALSE(two.ack());
    CHECK(first_of(two) == empty);
    server.age("one");
    CHECK(first_of(two) == "a");
    CHECK(two.deliveries() == 2);
    CHECK_FALSE(two.ack());
    CHECK(first_of(server.open("one")) == empty);
}

TEST_CASE("redis::Stream: a consumer that returns gets its own value at once",
          "[redis][redis_stream][unit]") {
    const RedisServer server;
    redis::Stream two = server.open("two");
    push(two, "a");
    push(two, "b");
    REQUIRE(first_of(server.open("one")) == "a");
    redis::Stream one = server.open("one");
    CHECK(first_of(two) == "b");
    CHECK(first_of(one) == "a");
    CHECK(one.deliveries() == 2);
    // Its lease started again.
    CHECK_FALSE(two.ack());
    CHECK(first_of(two) == empty);
}

TEST_CASE("redis::Stream takes over abandoned values before it takes new ones",
          "[redis][redis_stream][unit]") {
    const RedisServer server;
    redis::Stream two = server.open("two");
    // There are more values than one call of XAUTOCLAIM examines.
    for (int i = 0; i < 25; ++i) {
        push(two, std::to_string(i));
        redis::Stream other = server.open("other " + std::to_string(i));
        REQUIRE(first_of(other) == std::to_string(i));
    }
    push(two, "new");
    server.age("other 23");
    CHECK(first_of(two) == "23");
    CHECK_FALSE(two.ack());
    CHECK(first_of(two) == "new");
    CHECK(two.size() == 25);
}

TEST_CASE_METHOD(TwoConsumers, "redis::Stream::nack makes a value the first, for the next consumer",
                 "[redis][redis_stream][unit]") {
    push(one, "a");
    push(one, "b");
    for (std::uint64_t times = 1; times <= 3; ++times) {
        CHECK(first_of(one) == "a");
        CHECK(one.deliveries() == times);
        CHECK_FALSE(one.nack());
    }
    CHECK(first_of(two) == "a");
    CHECK(two.deliveries() == 4);
    CHECK(first_of(one) == "b");
    CHECK(one.deliveries() == 1);
    // The same holds for a consumer with a longer lease.
    redis::Options options = server.options("three");
    options.lease = 24h;
    redis::Stream three = opened(options);
    CHECK_FALSE(one.nack());
    CHECK(first_of(three) == "b");
}

TEST_CASE_METHOD(TwoConsumers,
                 "redis::Stream::nack does not return a value that another consumer has",
                 "[redis][redis_stream][unit]") {
    redis::Stream three = server.open("three");
    push(one, "a");
    REQUIRE(first_of(one) == "a");
    server.age("one");
    REQUIRE(first_of(two) == "a");
    CHECK_FALSE(one.nack());
    CHECK(first_of(one) == empty);
    CHECK(first_of(three) == empty);
}

TEST_CASE("redis::Stream: a late nack or renewal does not change a later lease",
          "[redis][redis_stream][regression]") {
    const RedisServer server;
    belay_test::RedisProxy proxy{server.socket()};
    redis::Options options = server.options("one");
    options.socket = proxy.socket();
    redis::Stream one = opened(options);
    redis::Stream two = server.open("two");
    push(one, "a");
    REQUIRE(first_of(one) == "a");
    proxy.next(belay_test::RedisProxy::Fault::hold_command);
    CHECK(one.nack() == redis::Errc::connection_lost);
    REQUIRE(first_of(one) == "a");
    REQUIRE(one.deliveries() == 2);
    proxy.deliver_held();
    CHECK(first_of(two) == empty);
    proxy.next(belay_test::RedisProxy::Fault::hold_command);
    CHECK(one.renew() == redis::Errc::connection_lost);
    CHECK_FALSE(one.nack());
    REQUIRE(first_of(one) == "a");
    server.age("one");
    proxy.deliver_held();
    CHECK(first_of(two) == "a");
}

TEST_CASE_METHOD(TwoConsumers, "redis::Stream::ack counts also after the lease, once",
                 "[redis][redis_stream][unit]") {
    push(one, "a");
    push(one, "b");
    REQUIRE(first_of(one) == "a");
    server.age("one");
    REQUIRE(first_of(two) == "a");
    CHECK_FALSE(one.ack());
    CHECK(two.size() == 1);
    CHECK(two.ack() == QueueErrc::lease_ended);
    CHECK(two.size() == 1);
    // The lease has ended nevertheless.
    CHECK(first_of(two) == "b");
}

TEST_CASE_METHOD(TwoConsumers,
                 "redis::Stream::renew restarts the lease, unless another consumer has the value",
                 "[redis][redis_stream][unit]") {
    push(one, "a");
    REQUIRE(first_of(one) == "a");
    server.age("one");
    CHECK_FALSE(one.renew());
    CHECK(first_of(two) == empty);
    CHECK(one.deliveries() == 1);
    server.age("one");
    REQUIRE(first_of(two) == "a");
    CHECK(one.renew() == QueueErrc::lease_ended);
    // The value was not taken over again.
    CHECK_FALSE(two.renew());
    CHECK_FALSE(two.ack());
    CHECK(one.renew() == QueueErrc::lease_ended);
    CHECK(one.ack() == QueueErrc::lease_ended);
}

TEST_CASE("redis::Stream leases a value for Options::lease", "[redis][redis_stream][unit]") {
    const RedisServer server;
    redis::Stream one = server.open("one");
    redis::Options options = server.options("two");
    options.lease = 1ms;
    redis::Stream two = opened(options);
    push(one, "a");
    REQUIRE(first_of(one) == "a");
    // The lease of the consumer that tries counts.
    while (first_of(two) == empty) std::this_thread::yield();
    CHECK(first_of(two) == "a");
    CHECK(first_of(server.open("three")) == empty);
}

TEST_CASE("redis::Stream skips values that were deleted before it takes them over",
          "[redis][redis_stream][unit]") {
    const RedisServer server;
    redis::Stream two = server.open("two");
    push(two, "a");
    push(two, "b");
    REQUIRE(first_of(server.open("one")) == "a");
    server.age("one");
    server.command(
        {"EVAL",
         "return redis.call('XDEL', 'jobs', redis.call('XRANGE', 'jobs', '-', '+', 'COUNT', "
         "1)[1][1])",
         "0"});
    CHECK(first_of(two) == "b");
    CHECK_FALSE(two.ack());
    CHECK(server.command({"XPENDING", "jobs", "belay"}).starts_with("0,"));
}

TEST_CASE(
    "redis::Stream: many producers and consumers take each value once, each producer's in order",
    "[redis][redis_stream][fault]") {
    const RedisServer server;
    constexpr int each = 200;
    std::atomic<int> left = 3 * each;
    std::atomic<int> failures = 0;
    std::mutex mutex;
    std::map<std::string, int> observed;
    std::vector<std::thread> threads;
    for (int who = 0; who < 3; ++who) {
        threads.emplace_back([&, who] {
            auto queue = redis::Stream::open(server.options("producer " + std::to_string(who)));
            for (int n = 1000; queue && n < 1000 + each; ++n) {
                const std::string text = std::to_string(who) + ' ' + std::to_string(n);
                failures += queue->try_push(as_bytes(text)) ? 1 : 0;
            }
        });
        threads.emplace_back([&, who] {
            auto queue = redis::Stream::open(server.options("consumer " + std::to_string(who)));
            std::map<char, std::string> last;
            Random chance{Seed{static_cast<std::uint64_t>(who) + 1}};
            while (queue && left > 0) {
                const auto first = queue->front_wait(5ms);
                if (!first) continue;
                if (chance() % 10 == 0) {
                    failures += queue->nack() ? 1 : 0;
                    continue;
                }
                const std::string text{as_text(*first)};
                const bool given_back = queue->deliveries() > 1;
                // Returned values are late. All others reach each consumer in order.
                if (!given_back && text < last[text[0]]) ++failures;
                if (!given_back) last[text[0]] = text;
                failures += queue->ack() ? 1 : 0;
                --left;
                const std::lock_guard lock{mutex};
                ++observed[text];
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(failures == 0);
    CHECK(observed.size() == 3 * each);
    for (const auto& [text, times] : observed) {
        INFO(text);
        REQUIRE(times == 1);
    }
    CHECK(server.open("one").size() == 0);
}

TEST_CASE("redis::Stream: consumers that are killed lose no value",
          "[redis][redis_stream][fault]") {
    const RedisServer server;
    redis::Stream two = server.open("two");
    constexpr std::uint64_t count = 300;
    for (std::uint64_t n = 0; n < count; ++n) push(two, std::to_string(n));
    std::map<std::string, int> done;
    for (int round = 0; round < 8; ++round) {
        int pipe[2];
        REQUIRE(::pipe(pipe) == 0);
        const pid_t child = ::fork();
        if (child == 0) {
            auto queue = redis::Stream::open(server.options("one"));
            // However late the kill is, values are left for the next rounds.
            for (int n = 0; queue && n < 30; ++n) {
                const auto first = queue->front();
                char text[8] = {};
                if (!first) ::_exit(1);
                as_text(*first).copy(text, 7);
                // The work is done, and reported. The kill may be before the acknowledgement.
                if (::write(pipe[1], text, sizeof text) != sizeof text) ::_exit(2);
                if (queue->ack()) ::_exit(3);
            }
            if (!queue) ::_exit(4);
            for (;;) ::pause();
        }
        ::close(pipe[1]);
        char text[8];
        for (int i = 0; i < 5 + round; ++i) {
            REQUIRE(::read(pipe[0], text, sizeof text) == sizeof text);
            ++done[text];
        }
        ::kill(child, SIGKILL);
        REQUIRE(::waitpid(child, nullptr, 0) == child);
        while (::read(pipe[0], text, sizeof text) == sizeof text) ++done[text];
        ::close(pipe[0]);
        // Values that were read before, and not acknowledged, may be processed again: by the next
        // consumer, or by two.
        if (round % 2 == 0) server.age("one");
        const auto mine = two.front();
        REQUIRE(mine);
        ++done[std::string{as_text(*mine)}];
        REQUIRE_FALSE(two.ack());
    }
    server.age("one");
    while (const auto value = two.try_pop()) ++done[std::string{as_text(*value)}];
    CHECK(done.size() == count);
    std::uint64_t repeated = 0;
    for (const auto& [text, times] : done) repeated += static_cast<std::uint64_t>(times - 1);
    // Each kill repeats at most the leased values.
    CHECK(repeated <= 8);
    CHECK(two.size() == 0);
}
