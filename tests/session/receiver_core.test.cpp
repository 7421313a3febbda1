// SPDX-License-Identifier: MIT
// Goal: ReceiverCore decides which connection of a sender is attached, which operation is next,
// and a credit that never shrinks. Method: the core as a value.
#include <belay/session/detail/receiver_core.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace belay::detail;
using namespace belay::session_format;

namespace {

constexpr Id store{std::byte{9}};
constexpr Id own_journal{std::byte{1}};
constexpr Id other{std::byte{2}};

using Core = ReceiverCore;
using Greeting = Core::Greeting;

Hello hello(std::uint64_t attach, Id of = own_journal) {
    return {.attach = attach, .sender = Id{std::byte{3}}, .journal = of};
}
Progress record(std::uint64_t attach, std::uint64_t applied = 0) {
    return {.journal = own_journal, .attach = attach, .applied = applied, .check = 77};
}
Frame data_frame(std::uint64_t number, BytesView payload = {}) {
    return {.type = FrameType::data, .aux = 4, .number = number, .payload = payload};
}

}  // namespace

TEST_CASE("ReceiverCore::judge follows steps 1 to 3 of the protocol, in order",
          "[session][receiver_core][unit]") {
    const Core core{store, {}};
    Hello pinned = hello(1);
    pinned.pinned_store = other;
    Hello ours = hello(1);
    ours.pinned_store = store;
    Hello based = hello(1);
    based.base = 4;
    struct Row {
        Hello h;
        std::optional<Progress> record;
        Greeting greeting;
        SessionErrc error;
        std::uint64_t detail;
    };
    const Row rows[] = {
        {hello(1), {}, Greeting::pend, {}, 0},
        {hello(1, other), record(9), Greeting::pend, {}, 0},
        {hello(2), record(1), Greeting::attach, {}, 0},
        {hello(1), record(1), Greeting::reject, SessionErrc::fenced, 1},
        {hello(1), record(5), Greeting::reject, SessionErrc::fenced, 5},
        {pinned, {}, Greeting::reject, SessionErrc::store_changed, 0},
        // Checked before the fence.
        {pinned, record(5), Greeting::reject, SessionErrc::store_changed, 0},
        {ours, {}, Greeting::reject, SessionErrc::unknown_journal, 0},
        {ours, record(0), Greeting::attach, {}, 0},
        {based, {}, Greeting::reject, SessionErrc::unknown_journal, 0},
        {based, record(0), Greeting::attach, {}, 0},
    };
    for (const Row& row : rows) {
        const auto answer = core.check_hello(row.h, row.record);
        CHECK(answer.greeting == row.greeting);
        if (row.greeting != Greeting::reject) continue;
        CHECK(answer.error == row.error);
        CHECK(answer.detail == row.detail);
    }
}

TEST_CASE("ReceiverCore remembers an attach number that is not recorded yet",
          "[session][receiver_core][unit]") {
    Core core{store, {}};
    core.attach(1, hello(8), record(2));
    CHECK(core.check_hello(hello(8), record(2)).error == SessionErrc::fenced);
    CHECK(core.check_hello(hello(8), record(2)).detail == 8);
    CHECK(core.check_hello(hello(9), record(2)).greeting == Greeting::attach);
    // Attach numbers are compared within one journal. Another journal has its own.
    Progress replaced = record(1);
    replaced.journal = other;
    CHECK(core.check_hello(hello(2, other), replaced).greeting == Greeting::attach);
    CHECK(core.attached() == 1);
    core.ended(7);
    CHECK(core.attached() == 1);
    core.ended(1);
    CHECK(core.attached() == 0);
    CHECK(core.check_hello(hello(8), record(2)).error == SessionErrc::fenced);
}

TEST_CASE("ReceiverCore grants each connection credit from the settled progress",
          "[session][receiver_core][unit]") {
    // The first connection applied operations whose commit failed: the second one repeats them.
    Core core{store, {.number_window = 10}};
    CHECK(core.attach(1, hello(2), record(1, 5)).number_limit == 15);
    core.applied(record(2, 12));
    CHECK(core.grant().number_limit == 22);
    CHECK(core.attach(2, hello(3), record(2, 5)).number_limit == 15);
    CHECK(core.grant().number_limit == 15);
}

TEST_CASE("ReceiverCore::progress_after carries journal, attach, number and check",
          "[session][receiver_core][unit]") {
    Core core{store, {}};
    core.adopted(1, hello(8), Core::adoption(hello(8)));
    CHECK(core.progress() == Progress{.journal = own_journal,
                                      .attach = 8,
                                      .check = belay::journal_format::first_check(own_journal)});
    static_cast<void>(core.grant());
    const Frame f = data_frame(1, as_bytes("x"));
    CHECK(core.check_data(1, f) == Core::Data::apply);
    CHECK(core.progress_after(f) ==
          Progress{.journal = own_journal,
                   .attach = 8,
                   .applied = 1,
                   .check = belay::journal_format::next_check(
                       belay::journal_format::first_check(own_journal), as_bytes("x"), 4)});
    // Unchanged until the owner reports the operation as applied.
    CHECK(core.progress().applied == 0);
    CHECK(core.check_data(2, f) == Core::Data::protocol);
}

TEST_CASE("ReceiverCore's credit never shrinks, covers one payload, and is exact",
          "[session][receiver_core][property]") {
    CHECK(rc::check("whatever is applied, skipped and granted", [](std::uint64_t seed) {
        Random bits{Seed{seed}};
        const ReceiverOptions::Limits limits{
            .number_window = 1 + bits() % 8,
            .byte_window = bits() % 64,
            .payload_bytes_max = 1 + static_cast<std::uint32_t>(bits() % 32)};
        Core core{store, limits};
        core.attach(1, hello(2), record(1, bits() % 100));
        std::uint64_t number_limit = 0;
        std::uint64_t byte_limit = 0;
        std::uint64_t sent_bytes = 0;
        const auto grant = [&] {
            const auto [n, b] = core.grant();
            RC_ASSERT(n >= number_limit);
            RC_ASSERT(b >= byte_limit);
            RC_ASSERT(n == core.progress().applied + limits.number_window);
            RC_ASSERT(b >= sent_bytes + limits.payload_bytes_max);
            number_limit = n;
            byte_limit = b;
        };
        grant();
        for (int i = 0; i < 50; ++i) {
            if (bits() % 3 == 0) grant();
            const Bytes body(bits() % (limits.payload_bytes_max + 1));
            const std::uint64_t next = core.progress().applied + 1;
            const std::uint64_t number = bits() % 4 == 0 && next > 1 ? next - 1 : next;
            const bool allowed = number <= number_limit && sent_bytes + body.size() <= byte_limit;
            const auto verdict = core.check_data(1, data_frame(number, body));
            if (!allowed) {
                RC_ASSERT(verdict == Core::Data::protocol);
                return;
            }
            sent_bytes += body.size();
            RC_ASSERT(verdict == (number == next ? Core::Data::apply : Core::Data::skip));
            if (number == next) core.applied(core.progress_after(data_frame(number, body)));
        }
    }));
}

TEST_CASE("ReceiverCore grants credit without limit to the last number, and never less",
          "[session][receiver_core][regression]") {
    Core core{store, {.number_window = no_limit, .byte_window = no_limit}};
    Welcome g = core.attach(1, hello(2), record(1, 5));
    for (std::uint64_t number = 6; number < 9; ++number) {
        CHECK(g.number_limit ==
              (std::uint64_t{1} << 63U) - 1);  // the highest that a sender accepts
        CHECK(g.byte_limit == no_limit);
        const Bytes body(4);
        CHECK(core.check_data(1, data_frame(number, body)) == Core::Data::apply);
        core.applied(core.progress_after(data_frame(number, body)));
        const detail::Credit credit = core.grant();
        CHECK(credit.number_limit == g.number_limit);
        CHECK(credit.byte_limit == g.byte_limit);
    }
}

TEST_CASE("ReceiverCore grants a new credit to every connection",
          "[session][receiver_core][unit]") {
    Core core{store, {.number_window = 3, .byte_window = 10, .payload_bytes_max = 4}};
    Welcome g = core.attach(1, hello(2), record(1, 5));
    CHECK(g.known);
    CHECK(g.applied == 5);
    CHECK(g.check == 77);
    CHECK(g.number_limit == 8);
    CHECK(g.byte_limit == 10);
    const Bytes body(4);
    CHECK(core.check_data(1, data_frame(6, body)) == Core::Data::apply);
    core.applied(core.progress_after(data_frame(6, body)));
    g = core.attach(2, hello(3), core.progress());
    CHECK(g.number_limit == 9);
    CHECK(g.byte_limit == 10);  // bytes count from the first DATA of the connection
}

TEST_CASE("ReceiverCore::pend reports the journal that it would replace, and grants no credit",
          "[session][receiver_core][unit]") {
    const Core core{store, {.payload_bytes_max = 50}};
    Welcome g = core.pend(hello(1), {});
    CHECK_FALSE(g.known);
    CHECK_FALSE(g.replaces);
    CHECK(g.number_limit == 0);
    CHECK(g.byte_limit == 0);
    CHECK(g.payload_bytes_max == 50);
    g = core.pend(hello(1, other), record(3, 12));
    CHECK(g.replaces);
    CHECK(g.replaced_journal == own_journal);
    CHECK(g.replaced_applied == 12);
    CHECK(g.store == store);
}
