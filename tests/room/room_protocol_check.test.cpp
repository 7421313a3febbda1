// SPDX-License-Identifier: MIT
// Goal: check::room_protocol accepts the protocols of the library, of the page and of the tests, and
// reports each planted mistake. Method: frames of real clients; a protocol with one mistake each.
#include "support/room/room_protocol_check.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include <belay/room/protocols.hpp>
#include <belay/yjs/yjs_document.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/room/planted_protocol.hpp"
#include "support/room/room_archetypes.hpp"
#include "support/room/sign_protocol.hpp"
#include "support/room/words_document.hpp"
#include "support/yjs/yjs_editor.hpp"

using namespace belay;
using namespace belay_test;

using Kind = part::RoomMessage::Kind;

namespace {

[[nodiscard]] std::string verdict_on(const std::optional<check::RoomProtocolFault>& fault) {
    return fault ? to_string(*fault) : "right";
}

/// Frames of y-websocket after `name`, which is empty without addresses.
[[nodiscard]] std::vector<check::ClientFrame> yjs_frames(const Bytes& name,
                                                         const std::string& room_id) {
    std::vector<check::ClientFrame> frames;
    const auto add = [&](std::string_view head, Kind kind, const Bytes& payload) {
        Bytes frame = name;
        const Bytes begin = from_hex(head);
        frame.insert(frame.end(), begin.begin(), begin.end());
        if (kind != Kind::query_awareness) yjs::append_varbytes(frame, payload);
        frames.push_back({frame, kind, payload, room_id});
    };
    add("0000", Kind::state_vector, from_hex("00"));
    add("0000", Kind::state_vector, from_hex("010705"));
    add("0001", Kind::state, typed(7, 0, "hello"));
    add("0002", Kind::update, typed(8, 0, std::string(300, 'x')));
    YjsDocument longer;
    for (std::uint64_t i = 0; i < 40; ++i)
        static_cast<void>(longer.apply(typed(100 + i, 0, std::string(90, 'y'))));
    const auto all = longer.diff(from_hex("00"));
    add("0002", Kind::update, *all);
    add("01", Kind::awareness, from_hex("010700027b7d"));
    add("03", Kind::query_awareness, {});
    return frames;
}

[[nodiscard]] std::vector<check::ClientFrame> hocuspocus_frames() {
    const Bytes name = from_hex("03646f63");
    std::vector<check::ClientFrame> frames = yjs_frames(name, "doc");
    frames.push_back(
        {from_hex("03646f63020003746f6b05342e382e30"), Kind::token, to_bytes("tok"), "doc"});
    frames.push_back({from_hex("03646f63020003746f6b"), Kind::token, to_bytes("tok"), "doc"});
    // With sessionAwareness.
    frames.push_back({from_hex("10646f63320034356339346f71736d696500000100"), Kind::state_vector,
                      from_hex("00"), "doc2"});
    frames.push_back({from_hex("03646f6305026869"), Kind::stateless, to_bytes("hi"), "doc"});
    frames.push_back({from_hex("03646f6307"), Kind::close, Bytes{}, "doc"});
    frames.push_back({from_hex("03646f6307026869"), Kind::close, to_bytes("hi"), "doc"});
    frames.push_back({from_hex("09"), Kind::ping, Bytes{}, ""});
    frames.push_back({from_hex("0a"), Kind::pong, Bytes{}, ""});
    return frames;
}

}  // namespace

TEST_CASE("check::room_protocol finds no fault in the protocols of the library",
          "[room][room_protocol_check][unit]") {
    std::vector<Bytes> rejected;
    for (const auto* const bad : {"", "00", "0003", "0002ff", "000203ff", "80", "01", "0300"})
        rejected.push_back(from_hex(bad));
    CHECK(verdict_on(check::room_protocol([] { return YjsProtocol{}; }, YjsDocument{},
                                          yjs_frames({}, ""), rejected)) == "right");
    CHECK(verdict_on(check::room_protocol([] { return YjsProtocol{}; }, WordsDocument{},
                                          std::vector<check::ClientFrame>{})) == "right");
    rejected.clear();
    for (const auto* const bad : {"", "03", "03646f63", "03646f6380", "03646f630801", "80"})
        rejected.push_back(from_hex(bad));
    CHECK(verdict_on(check::room_protocol([] { return HocuspocusProtocol{}; }, YjsDocument{},
                                          hocuspocus_frames(), rejected)) == "right");
}

TEST_CASE("check::room_protocol needs only the members of RoomProtocolLike",
          "[room][room_protocol_check][unit]") {
    const std::vector<check::ClientFrame> none;
    const auto minimal = [] { return MinimalProtocol{0}; };
    const auto addressed = [] { return MinimalProtocolWithAddresses{0}; };
    const std::vector<check::ClientFrame> token{{to_bytes("a"), Kind::token, Bytes{}, "a"}};
    CHECK(verdict_on(check::room_protocol(minimal, MinimalDocument{0}, none)) == "right");
    CHECK(verdict_on(check::room_protocol(addressed, MinimalDocument{0}, token)) == "right");
}

TEST_CASE("check::room_protocol finds no fault in a protocol of text",
          "[room][room_protocol_check][unit]") {
    const std::vector<check::ClientFrame> frames{
        {to_bytes("."), Kind::nothing, Bytes{}, ""},
        {to_bytes("?"), Kind::state_vector, Bytes{}, ""},
        {to_bytes("=one"), Kind::state, to_bytes("one"), ""},
        {to_bytes("+two"), Kind::update, to_bytes("two"), ""},
        {to_bytes("#"), Kind::query_awareness, Bytes{}, ""}};
    const std::vector<Bytes> rejected{{}, to_bytes("two")};
    CHECK(verdict_on(check::room_protocol([] { return SignProtocol{}; }, WordsDocument{}, frames,
                                          rejected)) == "right");
}

TEST_CASE("check::room_protocol reads the server's frames by the reader of the client",
          "[room][room_protocol_check][unit]") {
    const std::vector<check::ClientFrame> frames{
        {to_bytes("?"), Kind::state_vector, Bytes{}, ""},
        {to_bytes("+two"), Kind::update, to_bytes("two"), ""}};
    /// Its own frames begin with a sign of the server.
    struct TwoFormats : SignProtocol {
        [[nodiscard]] Bytes write(const part::RoomMessage& message) const {
            Bytes frame = SignProtocol::write(message);
            frame.insert(frame.begin(), std::byte{'>'});
            return frame;
        }
    };
    const auto make = [] { return TwoFormats{}; };
    const auto fault = check::room_protocol(make, WordsDocument{}, frames);
    REQUIRE(fault);
    CHECK(verdict_on(fault) ==
          "the protocol breaks the rule 'a client reads each frame as the message that was "
          "written' with 2 bytes: 3e3f; let write and read use the same format, or pass the reader "
          "of your client");
    const auto client = [](BytesView frame) { return SignProtocol{}.read(frame.subspan(1)); };
    CHECK(verdict_on(check::room_protocol(make, WordsDocument{}, frames, {}, client)) == "right");
    const auto wrong = [](BytesView frame) { return SignProtocol{}.read(frame); };
    CHECK(check::room_protocol(make, WordsDocument{}, frames, {}, wrong));
}

TEST_CASE("check::room_protocol shows the first 64 bytes of a frame",
          "[room][room_protocol_check][unit]") {
    using R = check::RoomProtocolRule;
    const std::string none = to_string(check::RoomProtocolFault{R::throws_nothing, {}});
    CHECK(none ==
          "the protocol breaks the rule 'no call throws, whatever the frame' with 0 bytes; "
          "return an error for bytes that cannot be read");
    const std::string more =
        to_string(check::RoomProtocolFault{R::throws_nothing, Bytes(65, std::byte{0xab})});
    CHECK(more.find("with 65 bytes: abab") != std::string::npos);
    CHECK(more.find("ab...; return") != std::string::npos);
    CHECK(std::count(more.begin(), more.end(), 'b') > 64);
    const std::string unknown = to_string(check::RoomProtocolFault{static_cast<R>(99), {}});
    CHECK(unknown == "the protocol breaks the rule 'unknown' with 0 bytes");
}

// ---- planted mistakes --------------------------------------------------------------------------

namespace {

[[nodiscard]] Bytes of_room(std::string_view id, std::string_view body) {
    Bytes frame{static_cast<std::byte>(id.size() / 256), static_cast<std::byte>(id.size() % 256)};
    for (const std::string_view text : {id, body}) {
        for (const char c : text) frame.push_back(static_cast<std::byte>(c));
    }
    return frame;
}

/// Many lines, together more than a piece.
[[nodiscard]] std::string many_lines() {
    std::string text;
    for (char a = 'b'; a <= 'z'; ++a) text += std::string(100, a) + "\n";
    return text;
}

[[nodiscard]] std::vector<check::ClientFrame> planted_frames(bool with_payloads) {
    std::vector<check::ClientFrame> frames;
    const auto add = [&](Kind kind, std::string_view body, std::string_view payload) {
        frames.push_back({of_room("doc", body), kind, std::nullopt, ""});
        if (with_payloads) frames.back().payload = to_bytes(payload);
        if (with_payloads) frames.back().room_id = "doc";
    };
    add(Kind::nothing, ".", "");
    add(Kind::token, "ttok\n4.8.0", "tok");
    add(Kind::token, "ttok\n5", "tok");
    add(Kind::state_vector, "?", "");
    add(Kind::state_vector, "?a\nb\n", "a\nb\n");
    add(Kind::state_vector, "?b\nc\n", "b\nc\n");
    add(Kind::state, "=one\ntwo", "one\ntwo");
    add(Kind::update, "+three", "three");
    add(Kind::update, "+" + many_lines(), many_lines());
    add(Kind::awareness, std::string_view{"@\1\7\0\2{}", 7}, std::string_view{"\1\7\0\2{}", 6});
    add(Kind::query_awareness, "#", "");
    add(Kind::stateless, "xhi", "hi");
    add(Kind::close, "c", "");
    frames.push_back({to_bytes("p"), Kind::ping, Bytes{}, ""});
    frames.push_back({to_bytes("q"), Kind::pong, Bytes{}, ""});
    return frames;
}

[[nodiscard]] std::optional<check::RoomProtocolFault> check_planted(
    ProtocolFlaw flaw, std::vector<check::ClientFrame> frames) {
    const std::vector<Bytes> rejected{{}, of_room("doc", "~"), of_room("doc", "g")};
    return check::room_protocol([&] { return PlantedProtocol{flaw}; }, Lines{}, frames, rejected,
                                {}, {.mutations = 300, .allocated = [] { return planted_bytes; }});
}

[[nodiscard]] std::optional<check::RoomProtocolFault> check_with(ProtocolFlaw flaw) {
    const bool any_payload = flaw == ProtocolFlaw::keeps_the_sign ||
                             flaw == ProtocolFlaw::keeps_awareness_sign ||
                             flaw == ProtocolFlaw::keeps_the_sign_of_vectors ||
                             flaw == ProtocolFlaw::names_rooms_by_addresses;
    auto frames = planted_frames(!any_payload);
    if (flaw == ProtocolFlaw::accepts_long_names)
        frames.push_back({of_room(std::string(300, 'n'), "ttok"), Kind::token, std::nullopt, ""});
    return check_planted(flaw, std::move(frames));
}

[[nodiscard]] check::RoomProtocolRule rule_of(ProtocolFlaw flaw) {
    using R = check::RoomProtocolRule;
    constexpr R rules[] = {R::throws_nothing,
                           R::throws_nothing,
                           R::throws_nothing,
                           R::throws_nothing,
                           R::reads_its_frames,
                           R::reads_its_frames,
                           R::reads_its_frames,
                           R::rejects_what_is_wrong,
                           R::reads_only_the_frame,
                           R::remembers_nothing,
                           R::remembers_nothing,
                           R::remembers_nothing,
                           R::views_stay_valid,
                           R::views_stay_valid,
                           R::views_stay_valid,
                           R::payload_fits_into_the_frame,
                           R::reads_kinds_of_clients,
                           R::reads_kinds_of_clients,
                           R::reads_kinds_of_clients,
                           R::errors_end_the_client,
                           R::errors_end_the_client,
                           R::allocates_little,
                           R::payload_is_for_the_room,
                           R::payload_is_for_the_room,
                           R::address_begins_the_frame,
                           R::address_begins_the_frame,
                           R::address_is_short,
                           R::address_is_kept,
                           R::own_frames_have_no_address,
                           R::finds_the_room_id,
                           R::writes_the_same,
                           R::writes_the_same,
                           R::writes_the_same,
                           R::writes_the_same,
                           R::frames_are_bounded,
                           R::frames_are_bounded,
                           R::kinds_differ,
                           R::client_reads_each_frame,
                           R::client_reads_each_frame,
                           R::client_has_the_document,
                           R::client_has_the_document,
                           R::disjoint_is_reliable,
                           R::disjoint_is_reliable,
                           R::disjoint_is_reliable,
                           R::payload_is_for_the_room,
                           R::address_is_kept,
                           R::address_is_kept,
                           R::throws_nothing,
                           R::client_reads_each_frame,
                           R::client_reads_each_frame,
                           R::client_reads_each_frame,
                           R::client_has_the_document,
                           R::client_has_the_document,
                           R::disjoint_is_reliable,
                           R::errors_end_the_client,
                           R::views_stay_valid,
                           R::views_stay_valid,
                           R::payload_fits_into_the_frame,
                           R::allocates_little,
                           R::allocates_little};
    static_assert(sizeof rules / sizeof rules[0] == static_cast<std::size_t>(ProtocolFlaw::count));
    return rules[static_cast<std::size_t>(flaw)];
}

}  // namespace

TEST_CASE("check::room_protocol reports the rule that each planted mistake breaks",
          "[room][room_protocol_check][unit]") {
    CHECK(verdict_on(check_with(ProtocolFlaw::none)) == "right");
    CHECK(verdict_on(check_planted(ProtocolFlaw::none, planted_frames(false))) == "right");
    std::vector<bool> broken(
        static_cast<std::size_t>(check::RoomProtocolRule::disjoint_is_reliable) + 1);
    for (int i = 1; i < static_cast<int>(ProtocolFlaw::count); ++i) {
        const auto flaw = static_cast<ProtocolFlaw>(i);
        const auto fault = check_with(flaw);
        INFO("mistake " << i);
        REQUIRE(fault);
        CHECK(std::string{to_string(fault->rule)} == to_string(rule_of(flaw)));
        broken[static_cast<std::size_t>(fault->rule)] = true;
        // The same protocol has the same fault again.
        if (flaw != ProtocolFlaw::signs_frames)
            CHECK(verdict_on(check_with(flaw)) == verdict_on(fault));
    }
    CHECK(std::count(broken.begin(), broken.end(), false) == 0);
}

TEST_CASE("check::room_protocol finds mistakes without frames, and without random changes",
          "[room][room_protocol_check][unit]") {
    CHECK_FALSE(check_planted(ProtocolFlaw::none, {}));
    CHECK(check_planted(ProtocolFlaw::returns_long_addresses, {}));
    const auto fault =
        check::room_protocol([] { return PlantedProtocol{ProtocolFlaw::read_throws}; }, Lines{},
                             planted_frames(true), {}, {}, {.mutations = 0});
    REQUIRE(fault);
    CHECK(fault->bytes == of_room("doc", ""));
}

TEST_CASE("check::room_protocol reports a ping without addresses",
          "[room][room_protocol_check][unit]") {
    struct Pinged : SignProtocol {
        [[nodiscard]] Result<part::RoomMessage> read(BytesView frame) const {
            if (as_text(frame) == "p") return part::RoomMessage{Kind::ping, {}, {}};
            return SignProtocol::read(frame);
        }
    };
    const std::vector<check::ClientFrame> frames{{to_bytes("p"), Kind::ping, Bytes{}, ""}};
    const auto fault = check::room_protocol([] { return Pinged{}; }, WordsDocument{}, frames);
    REQUIRE(fault);
    CHECK(fault->rule == check::RoomProtocolRule::reads_kinds_of_clients);
}

TEST_CASE("check::room_protocol reports frames of a client that a room rejects",
          "[room][room_protocol_check][unit]") {
    using R = check::RoomProtocolRule;
    const auto rule_with = [](Bytes frame, Kind kind) {
        std::vector<check::ClientFrame> frames;
        frames.push_back({std::move(frame), kind, std::nullopt, ""});
        const auto fault = check_planted(ProtocolFlaw::none, std::move(frames));
        return std::string{fault ? to_string(fault->rule) : "right"};
    };
    CHECK(rule_with(of_room("doc", "p"), Kind::ping) == to_string(R::own_frames_have_no_address));
    CHECK(rule_with(of_room("", "#"), Kind::query_awareness) == to_string(R::finds_the_room_id));
    CHECK(rule_with(of_room("doc", "@{}"), Kind::awareness) ==
          to_string(R::payload_is_for_the_room));
    CHECK(rule_with(of_room("doc", "+NO"), Kind::update) == to_string(R::payload_is_for_the_room));
    CHECK(rule_with(of_room("doc", "+no"), Kind::state) == to_string(R::reads_its_frames));
    CHECK(rule_with(of_room("doc", "g"), Kind::granted) == to_string(R::reads_its_frames));
}
