// SPDX-License-Identifier: MIT
// Goal: Audited records each admitted client, and rejects a client whose access cannot be
// recorded. Method: a scripted audit.
#include <belay/room/audited.hpp>

#include <memory>
#include <vector>

#include "support/aborts.hpp"
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
    const int* second = nullptr;
    [[nodiscard]] WallTime now() const noexcept {
        return WallTime{std::chrono::seconds{second != nullptr ? *second : 42}};
    }
};
using BookedGrant = Audited<OneGrant, BookAudit, AuditClock>;
static_assert(AuthorizerLike<BookedGrant>);

const RoomRequest audited_request{
    .board = "b", .token = "secret", .ip = "::1", .user_agent = "agent"};

}  // namespace

TEST_CASE("Audited records each access before it grants it", "[room][audited][unit]") {
    AuditBook book;
    book.later = true;
    driver::Question<Grant> question;
    BookedGrant audited{OneGrant{{"alice", Access::comment, forever}}, BookAudit{&book},
                        AuditClock{}};
    audited.check(audited_request, question.ask());
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

TEST_CASE("Audited rejects a client whose access cannot be recorded", "[room][audited][unit]") {
    AuditBook book;
    driver::Question<Grant> question;
    BookedGrant audited{OneGrant{{"alice", Access::edit, forever}}, BookAudit{&book}, AuditClock{}};
    book.answer = std::make_error_code(std::errc::no_space_on_device);
    audited.check(audited_request, question.ask());
    REQUIRE(question.answered());
    CHECK_FALSE(question.take().has_value());
    book.later = true;
    audited.check(audited_request, question.ask());
    book.open.clear();  // never answered
    REQUIRE(question.answered());
    CHECK_FALSE(question.take().has_value());
}

TEST_CASE("Audited passes rejections on, and records them", "[room][audited][unit]") {
    AuditBook book;
    driver::Question<Grant> question;
    BookedGrant refuses{OneGrant{{"alice", Access::none, forever}}, BookAudit{&book}, AuditClock{}};
    refuses.check(audited_request, question.ask());
    REQUIRE(question.answered());
    CHECK(question.take()->user == "alice");
    REQUIRE(book.rows.size() == 1);
    CHECK(book.rows.front().action == "refused");
    CHECK(book.rows.front().level == Access::none);
    CHECK(book.rows.front().user == "alice");
    CHECK(book.rows.front().ip == "::1");
    book.rows.clear();
    BookedGrant drops{OneGrant{{}, true}, BookAudit{&book}, AuditClock{}};
    drops.check(audited_request, question.ask());
    REQUIRE(question.answered());
    CHECK_FALSE(question.take().has_value());
    CHECK(book.rows.empty());
}

TEST_CASE("Audited may be destroyed before its audit answers", "[room][audited][unit]") {
    AuditBook book;
    book.later = true;
    driver::Question<Grant> question;
    {
        BookedGrant audited{OneGrant{{"alice", Access::edit, forever}}, BookAudit{&book},
                            AuditClock{}};
        audited.check(audited_request, question.ask());
    }
    book.open.front()(std::error_code{});
    REQUIRE(question.answered());
    CHECK(question.take()->access == Access::edit);
}

TEST_CASE("Audited records at most refusals_per_minute rejections, from the first minute on",
          "[room][audited][unit]") {
    AuditBook book;
    int second = 1'700'000'000;
    BookedGrant refuses{OneGrant{{"mallory", Access::none, forever}}, BookAudit{&book},
                        AuditClock{&second}, AuditedOptions{.refusals_per_minute = 6}};
    int refused = 0;
    const auto knock = [&](int times) {
        for (int i = 0; i < times; ++i) {
            driver::Question<Grant> question;
            refuses.check(audited_request, question.ask());
            if (question.answered()) ++refused;
        }
        return book.rows.size();
    };
    CHECK(knock(1000) == 6);
    second += 10;
    CHECK(knock(1000) == 7);
    second -= 3600;  // the clock is set
    CHECK(knock(1000) == 7);
    second += 3600 * 24;
    CHECK(knock(1000) == 13);
    CHECK(refused == 4000);
    // A book that does not answer is given no more than it can hold.
    book.later = true;
    for (int i = 0; i < 10; ++i) {
        second += 60;
        knock(100);
    }
    CHECK(book.open.size() == 6);
    book.open.clear();
    second += 60;
    knock(100);
    CHECK(book.open.size() == 6);
}

TEST_CASE("Audited records rejections by a listener within the same limit",
          "[room][audited][unit]") {
    struct RefusedRequest {  // as a listener reports it
        std::error_code error;
        int status = 0;
        std::string ip{};
        std::string path{};
    };
    AuditBook book;
    int second = 1'700'000'000;
    BookedGrant audited{OneGrant{{"mallory", Access::none, forever}}, BookAudit{&book},
                        AuditClock{&second}, AuditedOptions{.refusals_per_minute = 4}};
    auto door = audited.refusals();
    const BookedGrant moved{std::move(audited)};
    door.on_refused(RefusedRequest{{}, 403, "::1", "/ws/" + std::string(10'000, 'x')});
    REQUIRE(book.rows.size() == 1);
    const AuditRow& row = book.rows.front();
    CHECK(row.action == "refused");
    CHECK(row.ip == "::1");
    CHECK(row.board == "/ws/" + std::string(96, 'x'));
    CHECK(row.level == Access::none);
    CHECK(row.user.empty());
    CHECK(row.time == WallTime{std::chrono::seconds{second}});
    CHECK(door.dropped() == 0);
    for (int i = 0; i < 9; ++i) door.on_refused(RefusedRequest{{}, 403, "::1"});
    CHECK(book.rows.size() == 4);
    CHECK(door.dropped() == 6);
    driver::Question<Grant> question;
    BookedGrant again{moved};
    again.check(audited_request, question.ask());
    CHECK(book.rows.size() == 4);
    CHECK(door.dropped() == 7);
    // What the book does not take is no row.
    second += 60;
    book.answer = std::make_error_code(std::errc::no_space_on_device);
    door.on_refused(RefusedRequest{{}, 403, "::1"});
    CHECK(door.dropped() == 8);
    book.later = true;
    door.on_refused(RefusedRequest{{}, 403, "::1"});
    book.open.clear();
    CHECK(door.dropped() == 9);
}

TEST_CASE("Audited records no row when a listener runs out of descriptors",
          "[room][audited][unit]") {
    struct Exhausted {
        std::string ip{};
        std::string path{};
    };
    AuditBook book;
    BookedGrant audited{OneGrant{{"mallory", Access::none, forever}}, BookAudit{&book},
                        AuditClock{}, AuditedOptions{.refusals_per_minute = 4}};
    auto door = audited.refusals();
    for (int i = 0; i < 100; ++i) door.on_refused(Exhausted{});
    CHECK(book.rows.empty());
    CHECK(door.dropped() == 0);
    driver::Question<Grant> question;
    audited.check(audited_request, question.ask());
    CHECK(book.rows.size() == 1);
}

TEST_CASE("Audited destroys an audit that never answers when the Audited is destroyed",
          "[room][audited][unit]") {
    struct Keeper {  // of what it was asked
        std::unique_ptr<int, void (*)(int*)> alive;
        std::vector<Completion<std::error_code>> open{};
        void record(AuditRow, Completion<std::error_code> done) { open.push_back(std::move(done)); }
    };
    struct RefusedRequest {
        std::string ip{"::1"};
        std::string path{};
    };
    int ended = 0;
    driver::Question<Grant> question;
    {
        Audited audited{OneGrant{{"mallory", Access::none, forever}},
                        Keeper{{&ended, [](int* n) { ++*n; }}}, AuditClock{}};
        audited.check(audited_request, question.ask());
        auto door = audited.refusals();
        door.on_refused(RefusedRequest{});
        CHECK(ended == 0);
    }
    CHECK(ended == 1);
}

TEST_CASE("Audited::refusals aborts with a message when the Audited was moved from",
          "[room][audited][unit]") {
    AuditBook book;
    BookedGrant audited{OneGrant{}, BookAudit{&book}, AuditClock{}};
    const BookedGrant moved{std::move(audited)};
    const std::string said = belay_test::aborts_with([&] {
        auto door = audited.refusals();  // NOLINT(bugprone-use-after-move): that is it
        static_cast<void>(door);
    });
    CHECK(said.find("Audited::refusals: call it before you move the object") != said.npos);
}

TEST_CASE("Audited records no rejections when they are disabled", "[room][audited][unit]") {
    AuditBook book;
    driver::Question<Grant> question;
    BookedGrant refuses{OneGrant{{"mallory", Access::none, forever}}, BookAudit{&book},
                        AuditClock{}, AuditedOptions{.refusals_per_minute = 0}};
    refuses.check(audited_request, question.ask());
    CHECK(question.answered());
    CHECK(book.rows.empty());
}
