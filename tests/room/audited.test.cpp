// SPDX-License-Identifier: MIT
// Goal: Audited records each admitted client, and rejects a client whose access cannot be
// recorded. Method: a scripted audit.
#include <belay/room/audited.hpp>

#include <memory>
#include <stdexcept>
#include <vector>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;

namespace {

struct AuditLog {
    std::vector<AuditRow> rows;
    std::vector<Completion<std::error_code>> open;
    std::error_code answer{};
    bool later = false;
};
struct RecordingAudit {
    AuditLog* log;
    void record(AuditRow row, Completion<std::error_code> done) {
        log->rows.push_back(std::move(row));
        if (log->later) return log->open.push_back(std::move(done));
        done(log->answer);
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
using AuditedGrant = Audited<OneGrant, RecordingAudit, AuditClock>;
static_assert(AuthorizerLike<AuditedGrant>);

const RoomRequest audited_request{
    .room_id = "b", .token = "secret", .ip = "::1", .user_agent = "agent"};

}  // namespace

TEST_CASE("Audited records each access before it grants it", "[room][audited][unit]") {
    AuditLog log;
    log.later = true;
    driver::Question<Grant> question;
    AuditedGrant audited{OneGrant{{"alice", Access::comment, forever}}, RecordingAudit{&log},
                         AuditClock{}};
    audited.check(audited_request, question.ask());
    CHECK_FALSE(question.answered());
    REQUIRE(log.rows.size() == 1);
    const AuditRow& row = log.rows.front();
    CHECK(row.user == "alice");
    CHECK(row.room_id == "b");
    CHECK(row.action == "access");
    CHECK(row.level == Access::comment);
    CHECK(row.ip == "::1");
    CHECK(row.user_agent == "agent");
    CHECK(row.time == WallTime{std::chrono::seconds{42}});
    log.open.front()(std::error_code{});
    REQUIRE(question.answered());
    CHECK(question.take()->access == Access::comment);
}

TEST_CASE("Audited rejects a client whose access cannot be recorded", "[room][audited][unit]") {
    AuditLog log;
    driver::Question<Grant> question;
    AuditedGrant audited{OneGrant{{"alice", Access::edit, forever}}, RecordingAudit{&log},
                         AuditClock{}};
    log.answer = std::make_error_code(std::errc::no_space_on_device);
    audited.check(audited_request, question.ask());
    REQUIRE(question.answered());
    CHECK_FALSE(question.take().has_value());
    log.later = true;
    audited.check(audited_request, question.ask());
    log.open.clear();  // never answered
    REQUIRE(question.answered());
    CHECK_FALSE(question.take().has_value());
}

TEST_CASE("Audited passes rejections on, and records them", "[room][audited][unit]") {
    AuditLog log;
    driver::Question<Grant> question;
    AuditedGrant rejects{OneGrant{{"alice", Access::none, forever}}, RecordingAudit{&log},
                         AuditClock{}};
    rejects.check(audited_request, question.ask());
    REQUIRE(question.answered());
    CHECK(question.take()->user == "alice");
    REQUIRE(log.rows.size() == 1);
    CHECK(log.rows.front().action == "rejected");
    CHECK(log.rows.front().level == Access::none);
    CHECK(log.rows.front().user == "alice");
    CHECK(log.rows.front().ip == "::1");
    log.rows.clear();
    AuditedGrant drops{OneGrant{{}, true}, RecordingAudit{&log}, AuditClock{}};
    drops.check(audited_request, question.ask());
    REQUIRE(question.answered());
    CHECK_FALSE(question.take().has_value());
    CHECK(log.rows.empty());
}

TEST_CASE("Audited may be destroyed before its audit answers", "[room][audited][unit]") {
    AuditLog log;
    log.later = true;
    driver::Question<Grant> question;
    {
        AuditedGrant audited{OneGrant{{"alice", Access::edit, forever}}, RecordingAudit{&log},
                             AuditClock{}};
        audited.check(audited_request, question.ask());
    }
    log.open.front()(std::error_code{});
    REQUIRE(question.answered());
    CHECK(question.take()->access == Access::edit);
}

TEST_CASE("Audited records at most rejections_per_minute rejections, from the first minute on",
          "[room][audited][unit]") {
    AuditLog log;
    int second = 1'700'000'000;
    AuditedGrant rejects{OneGrant{{"mallory", Access::none, forever}}, RecordingAudit{&log},
                         AuditClock{&second}, AuditedOptions{.rejections_per_minute = 6}};
    int rejected = 0;
    const auto check_again = [&](int times) {
        for (int i = 0; i < times; ++i) {
            driver::Question<Grant> question;
            rejects.check(audited_request, question.ask());
            if (question.answered()) ++rejected;
        }
        return log.rows.size();
    };
    CHECK(check_again(1000) == 6);
    second += 10;
    CHECK(check_again(1000) == 7);
    second -= 3600;  // the clock is set
    CHECK(check_again(1000) == 7);
    second += 3600 * 24;
    CHECK(check_again(1000) == 13);
    CHECK(rejected == 4000);
    // An audit that does not answer receives no more rows than it can hold.
    log.later = true;
    for (int i = 0; i < 10; ++i) {
        second += 60;
        check_again(100);
    }
    CHECK(log.open.size() == 6);
    log.open.clear();
    second += 60;
    check_again(100);
    CHECK(log.open.size() == 6);
}

TEST_CASE("Audited records rejections by a listener within the same limit",
          "[room][audited][unit]") {
    struct RejectedRequest {  // as a listener reports it
        std::error_code error;
        int status = 0;
        std::string ip{};
        std::string path{};
    };
    AuditLog log;
    int second = 1'700'000'000;
    AuditedGrant audited{OneGrant{{"mallory", Access::none, forever}}, RecordingAudit{&log},
                         AuditClock{&second}, AuditedOptions{.rejections_per_minute = 4}};
    auto rejections = audited.rejections();
    const AuditedGrant moved{std::move(audited)};
    rejections.on_rejected(RejectedRequest{{}, 403, "::1", "/ws/" + std::string(10'000, 'x')});
    REQUIRE(log.rows.size() == 1);
    const AuditRow& row = log.rows.front();
    CHECK(row.action == "rejected");
    CHECK(row.ip == "::1");
    CHECK(row.room_id == "/ws/" + std::string(96, 'x'));
    CHECK(row.level == Access::none);
    CHECK(row.user.empty());
    CHECK(row.time == WallTime{std::chrono::seconds{second}});
    CHECK(rejections.dropped() == 0);
    for (int i = 0; i < 9; ++i) rejections.on_rejected(RejectedRequest{{}, 403, "::1"});
    CHECK(log.rows.size() == 4);
    CHECK(rejections.dropped() == 6);
    driver::Question<Grant> question;
    AuditedGrant again{moved};
    again.check(audited_request, question.ask());
    CHECK(log.rows.size() == 4);
    CHECK(rejections.dropped() == 7);
    // A row that the audit rejects counts as dropped.
    second += 60;
    log.answer = std::make_error_code(std::errc::no_space_on_device);
    rejections.on_rejected(RejectedRequest{{}, 403, "::1"});
    CHECK(rejections.dropped() == 8);
    log.later = true;
    rejections.on_rejected(RejectedRequest{{}, 403, "::1"});
    log.open.clear();
    CHECK(rejections.dropped() == 9);
}

TEST_CASE("Audited records no row when a listener runs out of descriptors",
          "[room][audited][unit]") {
    struct Exhausted {
        std::string ip{};
        std::string path{};
    };
    AuditLog log;
    AuditedGrant audited{OneGrant{{"mallory", Access::none, forever}}, RecordingAudit{&log},
                         AuditClock{}, AuditedOptions{.rejections_per_minute = 4}};
    auto rejections = audited.rejections();
    for (int i = 0; i < 100; ++i) rejections.on_rejected(Exhausted{});
    CHECK(log.rows.empty());
    CHECK(rejections.dropped() == 0);
    driver::Question<Grant> question;
    audited.check(audited_request, question.ask());
    CHECK(log.rows.size() == 1);
}

TEST_CASE("Audited destroys an audit that never answers when the Audited is destroyed",
          "[room][audited][unit]") {
    struct Keeper {  // it keeps the completions of the calls
        std::unique_ptr<int, void (*)(int*)> alive;
        std::vector<Completion<std::error_code>> open{};
        void record(AuditRow, Completion<std::error_code> done) { open.push_back(std::move(done)); }
    };
    struct RejectedRequest {
        std::string ip{"::1"};
        std::string path{};
    };
    int ended = 0;
    driver::Question<Grant> question;
    {
        Audited audited{OneGrant{{"mallory", Access::none, forever}},
                        Keeper{{&ended, [](int* n) { ++*n; }}}, AuditClock{}};
        audited.check(audited_request, question.ask());
        auto rejections = audited.rejections();
        rejections.on_rejected(RejectedRequest{});
        CHECK(ended == 0);
    }
    CHECK(ended == 1);
}

TEST_CASE("Audited rejects a client whose access is recorded by an audit that throws",
          "[room][audited][fault]") {
    struct AuditThatThrows {
        void record(AuditRow, Completion<std::error_code>) const {
            throw std::runtime_error{"an audit"};
        }
    };
    driver::Question<Grant> question;
    const bool admits = GENERATE(true, false);
    Audited audited{OneGrant{{"alice", admits ? Access::edit : Access::none, forever}},
                    AuditThatThrows{}, AuditClock{}, AuditedOptions{.rejections_per_minute = 4}};
    auto rejections = audited.rejections();
    for (int i = 0; i < 3; ++i) {
        audited.check(audited_request, question.ask());
        REQUIRE(question.answered());
        const auto grant = question.take();
        REQUIRE(grant.has_value() == !admits);
        if (grant) CHECK(grant->access == Access::none);
    }
    CHECK(rejections.dropped() == (admits ? 0 : 3));
}

TEST_CASE("Audited::rejections aborts with a message when the Audited was moved from",
          "[room][audited][unit]") {
    AuditLog log;
    AuditedGrant audited{OneGrant{}, RecordingAudit{&log}, AuditClock{}};
    const AuditedGrant moved{std::move(audited)};
    const std::string output = belay_test::aborts_with([&] {
        auto rejections = audited.rejections();  // NOLINT(bugprone-use-after-move): that is it
        static_cast<void>(rejections);
    });
    CHECK(output.find("Audited::rejections: call it before you move the object") != output.npos);
}

TEST_CASE("Audited records no rejections when they are disabled", "[room][audited][unit]") {
    AuditLog log;
    driver::Question<Grant> question;
    AuditedGrant rejects{OneGrant{{"mallory", Access::none, forever}}, RecordingAudit{&log},
                         AuditClock{}, AuditedOptions{.rejections_per_minute = 0}};
    rejects.check(audited_request, question.ask());
    CHECK(question.answered());
    CHECK(log.rows.empty());
}
