// SPDX-License-Identifier: MIT
// Goal: who is let in is written down, and who cannot be is not let in. Method: a book by hand.
#include <belay/room/audited.hpp>

#include <vector>

#include "support/catch.hpp"

using namespace belay;

namespace {

struct AuditBook {
    std::vector<AuditRow> rows;
    std::vector<Completion<std::error_code>> open;
    std::error_code answer{};
    bool later = false;
};
struct BookAudit {
    AuditBook* book;
    void record(AuditRow row, Completion<std::error_code> done) {
        book->rows.push_back(std::move(row));
        if (book->later) return book->open.push_back(std::move(done));
        done(book->answer);
    }
};
struct OneGrant {
    Grant grant;
    bool drops = false;
    void check(const RoomRequest&, Completion<Grant> answer) {
        if (!drops) answer(Grant{grant});
    }
};
struct AuditClock {
    [[nodiscard]] WallTime now() const noexcept { return WallTime{std::chrono::seconds{42}}; }
};
using BookedGrant = Audited<OneGrant, BookAudit, AuditClock>;
static_assert(AuthorizerLike<BookedGrant>);

const RoomRequest request{.board = "b", .token = "secret", .ip = "::1", .user_agent = "agent"};

}  // namespace

TEST_CASE("Audited writes each access down, before it is one", "[room][audited][unit]") {
    AuditBook book;
    book.later = true;
    driver::Question<Grant> question;
    BookedGrant audited{OneGrant{{"alice", Access::comment, forever}}, BookAudit{&book},
                        AuditClock{}};
    audited.check(request, question.ask());
    CHECK_FALSE(question.answered());
    REQUIRE(book.rows.size() == 1);
    const AuditRow& row = book.rows.front();
    CHECK(row.user == "alice");
    CHECK(row.board == "b");
    CHECK(row.action == "access");
    CHECK(row.level == Access::comment);
    CHECK(row.ip == "::1");
    CHECK(row.user_agent == "agent");
    CHECK(row.time == WallTime{std::chrono::seconds{42}});
    book.open.front()(std::error_code{});
    REQUIRE(question.answered());
    CHECK(question.take()->access == Access::comment);
}

TEST_CASE("Audited lets nobody in who was not written down", "[room][audited][unit]") {
    AuditBook book;
    driver::Question<Grant> question;
    BookedGrant audited{OneGrant{{"alice", Access::edit, forever}}, BookAudit{&book}, AuditClock{}};
    book.answer = std::make_error_code(std::errc::no_space_on_device);
    audited.check(request, question.ask());
    REQUIRE(question.answered());
    CHECK_FALSE(question.take().has_value());
    book.later = true;
    audited.check(request, question.ask());
    book.open.clear();  // never answered
    REQUIRE(question.answered());
    CHECK_FALSE(question.take().has_value());
}

TEST_CASE("Audited passes refusals on, and writes nothing", "[room][audited][unit]") {
    AuditBook book;
    driver::Question<Grant> question;
    BookedGrant refuses{OneGrant{{"alice", Access::none, forever}}, BookAudit{&book}, AuditClock{}};
    refuses.check(request, question.ask());
    REQUIRE(question.answered());
    CHECK(question.take()->user == "alice");
    BookedGrant drops{OneGrant{{}, true}, BookAudit{&book}, AuditClock{}};
    drops.check(request, question.ask());
    REQUIRE(question.answered());
    CHECK_FALSE(question.take().has_value());
    CHECK(book.rows.empty());
}

TEST_CASE("Audited may be gone when the answer comes", "[room][audited][unit]") {
    AuditBook book;
    book.later = true;
    driver::Question<Grant> question;
    {
        BookedGrant audited{OneGrant{{"alice", Access::edit, forever}}, BookAudit{&book},
                            AuditClock{}};
        audited.check(request, question.ask());
    }
    book.open.front()(std::error_code{});
    REQUIRE(question.answered());
    CHECK(question.take()->access == Access::edit);
}
