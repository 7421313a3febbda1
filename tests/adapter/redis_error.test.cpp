// SPDX-License-Identifier: MIT
// Goal: what Redis answers becomes an error code, a cause for policies, and a sentence with advice.
#include <belay/adapter/redis_error.hpp>

#include <set>

#include "support/catch.hpp"

using namespace belay;
using belay::detail::code_of_redis;

namespace {

constexpr int last_code = static_cast<int>(RedisErrc::refused);

std::error_code code_at(int value) { return make_error_code(static_cast<RedisErrc>(value)); }

}  // namespace

TEST_CASE("Every refusal of Redis has a code", "[adapter][redis_error][unit]") {
    CHECK(code_of_redis("WRONGTYPE Operation against a key holding the wrong kind of value") ==
          RedisErrc::wrong_type);
    CHECK(code_of_redis("NOAUTH Authentication required.") == RedisErrc::unauthorized);
    CHECK(code_of_redis("WRONGPASS invalid username-password pair or user is disabled.") ==
          RedisErrc::unauthorized);
    CHECK(code_of_redis("ERR AUTH <password> called without any password configured for the "
                        "default user. Are you sure your configuration is correct?") ==
          RedisErrc::unauthorized);
    CHECK(code_of_redis("NOPERM this user has no permissions to run the 'eval' command") ==
          RedisErrc::forbidden);
    CHECK(code_of_redis("DENIED Redis is running in protected mode") == RedisErrc::forbidden);
    CHECK(code_of_redis("LOADING Redis is loading the dataset in memory") == RedisErrc::not_ready);
    CHECK(code_of_redis("BUSY Redis is busy running a script.") == RedisErrc::not_ready);
    CHECK(code_of_redis("ERR max number of clients reached") == RedisErrc::not_ready);
    CHECK(code_of_redis("OOM command not allowed when used memory > 'maxmemory'.") ==
          RedisErrc::out_of_memory);
    CHECK(code_of_redis("READONLY You can't write against a read only replica.") ==
          RedisErrc::read_only);
    CHECK(code_of_redis("MISCONF Redis is configured to save RDB snapshots") ==
          RedisErrc::cannot_persist);
    CHECK(code_of_redis("NOREPLICAS Not enough good replicas to write.") ==
          RedisErrc::cannot_persist);
    CHECK(code_of_redis("NOGROUP No such key 'q' or consumer group 'g'") == RedisErrc::no_group);
    CHECK(code_of_redis("UNBLOCKED the stream key no longer exists") == RedisErrc::no_group);
    CHECK(code_of_redis("UNBLOCKED client unblocked via CLIENT UNBLOCK") == RedisErrc::not_ready);
    CHECK(code_of_redis("MOVED 3999 127.0.0.1:6381") == RedisErrc::moved);
    CHECK(code_of_redis("ERR unknown command 'XAUTOCLAIM', with args beginning with: ") ==
          RedisErrc::too_old);
    CHECK(code_of_redis("ERR syntax error") == RedisErrc::refused);
    CHECK(code_of_redis("") == RedisErrc::refused);
}

TEST_CASE("A refusal within a script is known by its own code", "[adapter][redis_error][unit]") {
    CHECK(code_of_redis("NOGROUP No such key 'q' script: 0f1c, on @user_script:9.") ==
          RedisErrc::no_group);
    // As before Redis 7.
    CHECK(code_of_redis("ERR Error running script (call to f_0f1c): @user_script:9: "
                        "@user_script: 9: NOGROUP No such key 'q'") == RedisErrc::no_group);
    CHECK(code_of_redis("ERR Error running script (call to f_0f1c): @user_script:9: @user_script: "
                        "9: Unknown Redis command called from Lua script") == RedisErrc::too_old);
    CHECK(code_of_redis("ERR The user executing the script can't run this command or subcommand "
                        "script: 2bdc, on @user_script:2.") == RedisErrc::forbidden);
    CHECK(code_of_redis("ERR The user executing the script can't access at least one of the keys "
                        "mentioned in the command arguments script: 2bdc, on @user_script:2.") ==
          RedisErrc::forbidden);
    // What is quoted in another refusal is no code.
    CHECK(code_of_redis("NOPERM for OOM or READONLY keys") == RedisErrc::forbidden);
}

TEST_CASE("Every RedisErrc has a text, a cause, and advice of its own",
          "[adapter][redis_error][unit]") {
    std::set<std::string> texts;
    std::set<std::string> advices;
    for (int i = 1; i <= last_code; ++i) {
        CHECK(texts.insert(code_at(i).message()).second);
        CHECK(advices.insert(RedisError{code_at(i), "", ""}.advice()).second);
        CHECK(cause_of(code_at(i)) != Cause::none);
    }
    CHECK(code_at(last_code + 1).message() == "unknown error");
    CHECK(std::string{code_at(1).category().name()} == "belay.redis");
    for (const std::error_code& code :
         {make_error_code(QueueErrc::bad_options), make_error_code(QueueErrc::queue_empty),
          std::make_error_code(std::errc::too_many_files_open),
          make_error_code(QueueErrc::too_large), make_error_code(QueueErrc::bad_encoding),
          make_error_code(QueueErrc::lease_ended),
          std::make_error_code(std::errc::permission_denied),
          std::make_error_code(std::errc::timed_out),
          std::make_error_code(std::errc::host_unreachable),
          std::make_error_code(std::errc::connection_refused)}) {
        CHECK(advices.insert(RedisError{code, "", ""}.advice()).second);
    }
}

TEST_CASE("Policies can tell what passes by itself from what does not",
          "[adapter][redis_error][unit]") {
    CHECK(make_error_code(RedisErrc::connection_lost) == Cause::lost);
    CHECK(make_error_code(RedisErrc::no_answer) == Cause::timed_out);
    CHECK(make_error_code(RedisErrc::not_ready) == Cause::overloaded);
    CHECK(make_error_code(RedisErrc::out_of_memory) == Cause::overloaded);
    CHECK(make_error_code(RedisErrc::unauthorized) == Cause::unauthorized);
    CHECK(make_error_code(RedisErrc::forbidden) == Cause::forbidden);
    CHECK(make_error_code(RedisErrc::wrong_type) == Cause::permanent);
    CHECK(make_error_code(RedisErrc::no_group) == Cause::permanent);
}

TEST_CASE("RedisError says what, where, and what to do", "[adapter][redis_error][unit]") {
    const RedisError error{make_error_code(RedisErrc::wrong_type), "there", "WRONGTYPE it is"};
    CHECK(error);
    CHECK(std::error_code{error} == RedisErrc::wrong_type);
    CHECK(error.message() ==
          "there: the key does not hold a stream (WRONGTYPE it is): choose a "
          "key of the queue's own.");
    CHECK(RedisError{error.code, "there", ""}.message().find("()") == std::string::npos);
    CHECK_FALSE(RedisError{});
}
