// SPDX-License-Identifier: MIT
// Goal: a Requests finds the answers to its requests, and passes notices on, and the bytes of the
// messages stay. Method: each kind of message, whole and cut, and compared with fixed texts.
#include <belay/sync/sync_messages.hpp>

#include <belay/sync/detail/sync_message_codec.hpp>

#include "support/catch.hpp"
#include "support/sync/text_codec.hpp"

using namespace belay;

namespace {

std::string hex_of(BytesView bytes) {
    std::string text;
    for (const std::byte one : bytes) {
        text += "0123456789abcdef"[std::to_integer<unsigned>(one) >> 4U];
        text += "0123456789abcdef"[std::to_integer<unsigned>(one) & 15U];
    }
    return text;
}
Stamp stamp_of(unsigned char number) {
    Stamp made{WallTime{Duration{number}}, number + 1U, {}};
    made.origin.fill(std::byte{number});
    return made;
}

}  // namespace

TEST_CASE("SyncMessages finds the answers by their ids, and notices", "[sync][sync_messages]") {
    Bytes question;
    detail::SyncHeader::start(question, detail::SyncMessageKind::asks_changes);
    part::SyncMessages::put_id(question, 77);
    CHECK_FALSE(part::SyncMessages::id_of(question));  // a request of another program
    CHECK(detail::SyncHeader::id_of(question) == 77);
    Bytes answer;
    detail::SyncHeader::start(answer, detail::SyncMessageKind::page, 77);
    CHECK(part::SyncMessages::id_of(answer) == 77);
    answer.resize(detail::SyncHeader::size - 1);
    CHECK_FALSE(part::SyncMessages::id_of(answer));
    part::SyncMessages::put_id(answer, 5);  // too short for one
    const Bytes notice = part::SyncMessages::notice();
    CHECK(part::SyncMessages::is_notice(notice));
    CHECK_FALSE(part::SyncMessages::id_of(notice));
    CHECK_FALSE(part::SyncMessages::is_notice(question));
    CHECK_FALSE(part::SyncMessages::is_notice({}));
}

TEST_CASE("Messages of a Replica have the bytes of their format", "[sync][sync_messages][golden]") {
    using Codec = detail::SyncMessageCodec<belay_test::TextCodec>;
    Codec codec{{}};
    const Id store = stamp_of(0x11).origin;
    const part::StoreCursor cursor{store, 2, 3, 4, 5};
    CHECK(hex_of(Codec::ask_changes("s", cursor)) ==
          "eb01010000000000000000000100000073111111111111111111111111111111110200000000"
          "0000000300000000000000040000000000000005000000");
    Codec::Op op{.id = stamp_of(0x22).origin, .action = UpdateElement<std::string>{"e", "v", "b"}};
    op.stamp = stamp_of(0x33);
    op.saw = stamp_of(0x44);
    op.formerly = stamp_of(0x55).origin;
    Bytes batch = Codec::begin_batch("s");
    REQUIRE_FALSE(codec.add(batch, op, 1000));
    CHECK(hex_of(batch) ==
          "eb010200000000000000000001000000736f000000ed00000000002222222222222222222222"
          "222222222233000000000000003400000033333333333333333333333333333333010f440000"
          "0000000000450000004444444444444444444444444444444401000000650100000076010000"
          "006255555555555555555555555555555555");
    Codec::Page page;
    page.begins_copy = true;
    page.other_history = true;
    page.next = cursor;
    page.changes.push_back({"a", stamp_of(0x66), "v", {}});
    page.changes.push_back({"b", stamp_of(0x77), std::nullopt, {}});
    page.changes.push_back({"c", stamp_of(0x78), std::nullopt, QueueErrc::corrupt});
    CHECK(hex_of(codec.answer_page(7, page)) ==
          "eb01030007000000000000000100000000010001111111111111111111111111111111110200"
          "0000000000000300000000000000040000000000000005000000030000000100000061660000"
          "0000000000670000006666666666666666666666666666666601010000007601000000627700"
          "0000000000007800000077777777777777777777777777777777000100000063780000000000"
          "00007900000078787878787878787878787878787878020209000000");
    Codec::Outcomes all;
    all.decided = 4;
    all.failed.push_back({0, {{}, SyncErrc::from_the_future, true, Duration{9}, true}});
    all.failed.push_back({1, {{}, std::make_error_code(std::errc::io_error), false, {}, false}});
    all.conflicts.push_back({2, {{}, StaleTimestamp{stamp_of(1), stamp_of(2)}, true}});
    all.overwrote.push_back({3, {{}, ConcurrentModification{}, {stamp_of(3), "w"}}});
    CHECK(hex_of(codec.answer_outcomes(8, all, 1000)) ==
          "eb01040008000000000000000100000000040000000200000000000000011000000001010109"
          "0000000000000001000000030500000000000001000000020000000201000000000000000200"
          "0000010101010101010101010101010101010200000000000000030000000202020202020202"
          "0202020202020202010100000003000000030300000000000000040000000303030303030303"
          "0303030303030303010100000077");
    std::error_code error;
    const auto read = codec.read_outcomes(codec.answer_outcomes(8, all, 1000), 4, error);
    REQUIRE(read);
    CHECK(hex_of(codec.answer_outcomes(8, *read, 1000)) ==
          hex_of(codec.answer_outcomes(8, all, 1000)));
    CHECK(codec.read_page(codec.answer_page(7, page), error) == page);
    CHECK(codec.read_question(Codec::ask_changes("s", cursor))->since == cursor);
}
