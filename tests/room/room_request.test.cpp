// SPDX-License-Identifier: MIT
// Goal: a request target is decoded once, and a malformed target has no room id. Method: valid
// and invalid targets.
#include <belay/room/authorizer_like.hpp>

#include "support/catch.hpp"

using namespace belay;

namespace {
RoomRequest request_for(std::string target) {
    return room_request({std::move(target), "::1", "agent", "http://here"}, "/ws/canvas/");
}
}  // namespace

TEST_CASE("room_request extracts room id, token and epoch", "[room][room_request][unit]") {
    const RoomRequest r = request_for("/ws/canvas/b1?token=a.b-c_d&epoch=00ff&other=1");
    CHECK(r.room_id == "b1");
    CHECK(r.token == "a.b-c_d");
    CHECK(r.epoch == "00ff");
    CHECK(r.ip == "::1");
    CHECK(r.user_agent == "agent");
    CHECK(r.origin == "http://here");
    CHECK(request_for("/ws/canvas/b1").token.empty());
}

TEST_CASE("room_request decodes once", "[room][room_request][unit]") {
    for (const char* path : {"a/b", "a%2Fb", "a%2fb"})
        CHECK(request_for("/ws/canvas/" + std::string{path} + "?token=x").room_id == "a/b");
    CHECK(request_for("/ws/canvas//a//b/").room_id == "/a//b/");
    CHECK(request_for("/ws/canvas/a%252Fb").room_id == "a%2Fb");
    CHECK(request_for("/ws/canvas/a+b").room_id == "a+b");
    CHECK(request_for("/ws/canvas/%C3%A9%20%25").room_id == "\xC3\xA9 %");
    CHECK(request_for("/ws/canvas/b?token=a+b%26c").token == "a b&c");
}

TEST_CASE("room_request returns no room id for invalid bytes and overlong ids",
          "[room][room_request][unit]") {
    for (const char* board : {"%00", "a%00b", "a%0Ab", "%1F", "%7F", "%FF", "%C3", "%ED%A0%80"})
        CHECK(request_for("/ws/canvas/" + std::string{board}).room_id.empty());
    CHECK(request_for("/ws/canvas/" + std::string(part::room_id_bytes_max, 'x')).room_id.size() ==
          100);
    CHECK(
        request_for("/ws/canvas/" + std::string(part::room_id_bytes_max + 1, 'x')).room_id.empty());
    CHECK(request_for("/ws/canvas/" + std::string(10'000, 'x')).room_id.empty());
    // The limit counts bytes, neither characters nor what the URL writes for them.
    std::string longest;
    for (std::size_t i = 0; i < part::room_id_bytes_max / 2; ++i) longest += "%C3%A9";
    CHECK(request_for("/ws/canvas/" + longest).room_id.size() == part::room_id_bytes_max);
    CHECK(request_for("/ws/canvas/" + longest + "/").room_id.empty());
    const std::string with_slashes = "a/" + std::string(part::room_id_bytes_max - 2, 'x');
    CHECK(request_for("/ws/canvas/" + with_slashes).room_id == with_slashes);
    CHECK(request_for("/ws/canvas/" + with_slashes + "x").room_id.empty());
}

TEST_CASE("room_request rejects ids with control characters, or with changes of the text direction",
          "[room][room_request][unit]") {
    // C1 controls; embeddings, overrides and isolates of the bidirectional algorithm.
    for (const char* board :
         {"%C2%80", "a%C2%9B31m", "%C2%9F", "%E2%80%AA", "a%E2%80%AEb", "%E2%81%A6", "a%E2%81%A9"})
        CHECK(request_for("/ws/canvas/" + std::string{board}).room_id.empty());
    // Their neighbours, and scripts that are written from right to left.
    for (const char* board : {"%C2%A0", "%C3%80", "%E2%80%A9", "%E2%80%AF", "%E2%81%A5",
                              "%E2%81%AA", "%D7%A9%D7%9C%D7%95%D7%9D", "%E2%80%8F"})
        CHECK_FALSE(request_for("/ws/canvas/" + std::string{board}).room_id.empty());
}

TEST_CASE("room_request ignores malformed targets and parameters", "[room][room_request][unit]") {
    for (const char* target : {"", "/", "/ws/canvas", "/ws/canvas/", "/ws/canvas/a%",
                               "/ws/canvas/a%2", "/ws/canvas/a%zz", "/ws/other/a", "?token=x"}) {
        CHECK(request_for(target).room_id.empty());
    }
    CHECK(request_for("/ws/canvas/b?token=a&token=b").token.empty());
    CHECK(request_for("/ws/canvas/b?token=%g0").token.empty());
    CHECK(request_for("/ws/canvas/b?token").token.empty());
    CHECK(request_for("/ws/canvas/b?xtoken=a").token.empty());
    CHECK(request_for("/ws/canvas/b?&&token=a&").token == "a");
}
