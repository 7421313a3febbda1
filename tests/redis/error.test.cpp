// SPDX-License-Identifier: MIT
// Goal: an error of Redis becomes an error code, a cause for policies, and a message with advice.
// Method: all errors.
#include <belay/redis/error.hpp>

#include <set>

#include "support/catch.hpp"

using namespace belay;
using belay::detail::code_of_redis;

namespace {

constexpr int last_code = static_cast<int>(redis::Errc::reply_too_long);

std::error_code code_at(int value) { return make_error_code(static_cast<redis::Errc>(value)); }

}  // namespace

TEST_CASE("Every error of Redis has a code", "[redis][error][unit]") {
    CHECK(code_of_redis("WRONGTYPE Operation against a key holding the wrong kind of value") ==
          redis::Errc::wrong_type);
    CHECK(code_of_redis("NOAUTH Authentication required.") == redis::Errc::unauthorized);
    CHECK(code_of_redis("WRONGPASS invalid username-password pair or user is disabled.") ==
          redis::Errc::unauthorized);
    CHECK(code_of_redis("ERR AUTH <password> called without any password configured for the "
                        "default user. Are you sure your configuration is correct?") ==
          redis::Errc::unauthorized);
    CHECK(code_of_redis("NOPERM this user has no permissions to run the 'eval' command") ==
          redis::Errc::forbidden);
    CHECK(code_of_redis("DENIED Redis is running in protected mode") == redis::Errc::forbidden);
    CHECK(code_of_redis("LOADING Redis is loading the dataset in memory") ==
          redis::Errc::not_ready);
    CHECK(code_of_redis("BUSY Redis is busy running a script.") == redis::Errc::not_ready);
    CHECK(code_of_redis("ERR max number of clients reached") == redis::Errc::not_ready);
    CHECK(code_of_redis("OOM command not allowed when used memory > 'maxmemory'.") ==
          redis::Errc::out_of_memory);
    CHECK(code_of_redis("READONLY You can't write against a read only replica.") ==
          redis::Errc::read_only);
    CHECK(code_of_redis("MISCONF Redis is configured to save RDB snapshots") ==
          redis::Errc::cannot_persist);
    CHECK(code_of_redis("NOREPLICAS Not enough good replicas to write.") ==
          redis::Errc::cannot_persist);
    CHECK(code_of_redis("NOGROUP No such key 'q' or consumer group 'g'") == redis::Errc::no_group);
    CHECK(code_of_redis("UNBLOCKED the stream key no longer exists") == redis::Errc::no_group);
    CHECK(code_of_redis("UNBLOCKED client unblocked via CLIENT UNBLOCK") == redis::Errc::not_ready);
    CHECK(code_of_redis("MOVED 3999 127.0.0.1:6381") == redis::Errc::moved);
    CHECK(code_of_redis("ERR unknown command 'XAUTOCLAIM', with args beginning with: ") ==
          redis::Errc::too_old);
    CHECK(code_of_redis("ERR syntax error") == redis::Errc::rejected);
    CHECK(code_of_redis("") == redis::Errc::rejected);
}

TEST_CASE("An error within a script has its own code", "[redis][error][unit]") {
    CHECK(code_of_redis("NOGROUP No such key 'q' script: 0f1c, on @user_script:9.") ==
          redis::Errc::no_group);
    // The form before Redis 7.
    CHECK(code_of_redis("ERR Error running script (call to f_0f1c): @user_script:9: "
                        "@user_script: 9: NOGROUP No such key 'q'") == redis::Errc::no_group);
    CHECK(code_of_redis("ERR Error running script (call to f_0f1c): @user_script:9: @user_script: "
                        "9: Unknown Redis command called from Lua script") == redis::Errc::too_old);
    CHECK(code_of_redis("ERR The user executing the script can't run this command or subcommand "
                        "script: 2bdc, on @user_script:2.") == redis::Errc::forbidden);
    CHECK(code_of_redis("ERR The user executing the script can't access at least one of the keys "
                        "mentioned in the command arguments script: 2bdc, on @user_script:2.") ==
          redis::Errc::forbidden);
    // A code that is quoted in another error is no code.
    CHECK(code_of_redis("NOPERM for OOM or READONLY keys") == redis::Errc::forbidden);
}

TEST_CASE("Every redis::Errc has a text, a cause, and its own advice", "[redis][error][unit]") {
    std::set<std::string> texts;
    std::set<std::string> advices;
    for (int i = 1; i <= last_code; ++i) {
        CHECK(texts.insert(code_at(i).message()).second);
        CHECK(advices.insert(redis::Error{code_at(i), "", ""}.advice()).second);
        CHECK(cause_of(code_at(i)) != Cause::none);
    }
    CHECK(code_at(last_code + 1).message() == "unknown error");
    CHECK(std::string{code_at(1).category().name()} == "belay.redis");
    for (const std::error_code& code :
         {make_error_code(QueueErrc::bad_options), make_error_code(QueueErrc::queue_empty),
          std::make_error_code(std::errc::too_many_files_open),
          make_error_code(QueueErrc::too_large), make_error_code(QueueErrc::bad_encoding),
          make_error_code(QueueErrc::lease_ended), make_error_code(tls::Errc::handshake_failed),
          std::make_error_code(std::errc::permission_denied),
          std::make_error_code(std::errc::timed_out),
          std::make_error_code(std::errc::host_unreachable),
          std::make_error_code(std::errc::connection_refused)}) {
        CHECK(advices.insert(redis::Error{code, "", ""}.advice()).second);
    }
}

TEST_CASE("redis::Error::advice names what to check of a Redis that does not respond",
          "[redis][error][unit]") {
    for (const std::error_code& code :
         {make_error_code(redis::Errc::no_answer), std::make_error_code(std::errc::timed_out)}) {
        const std::string_view advice = redis::Error{code, "", ""}.advice();
        CHECK(advice.find("check that Redis runs") != advice.npos);
    }
}

TEST_CASE("redis::Errc distinguishes transient from permanent causes", "[redis][error][unit]") {
    CHECK(make_error_code(redis::Errc::connection_lost) == Cause::lost);
    CHECK(make_error_code(redis::Errc::no_answer) == Cause::timed_out);
    CHECK(make_error_code(redis::Errc::not_ready) == Cause::overloaded);
    CHECK(make_error_code(redis::Errc::out_of_memory) == Cause::overloaded);
    CHECK(make_error_code(redis::Errc::unauthorized) == Cause::unauthorized);
    CHECK(make_error_code(redis::Errc::forbidden) == Cause::forbidden);
    CHECK(make_error_code(redis::Errc::wrong_type) == Cause::permanent);
    CHECK(make_error_code(redis::Errc::no_group) == Cause::permanent);
}

TEST_CASE("redis::Error::message has the reason, the place and the advice",
          "[redis][error][unit]") {
    const redis::Error error{make_error_code(redis::Errc::wrong_type), "there", "WRONGTYPE it is"};
    CHECK(error);
    CHECK(std::error_code{error} == redis::Errc::wrong_type);
    CHECK(error.message() ==
          "there: the key does not hold a stream (WRONGTYPE it is): choose a key that only this "
          "queue uses.");
    CHECK(redis::Error{error.code, "there", ""}.message().find("()") == std::string::npos);
    CHECK_FALSE(redis::Error{});
}
