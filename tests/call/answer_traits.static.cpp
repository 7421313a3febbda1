// SPDX-License-Identifier: MIT
// Goal: each row of the table in docs/reference/retry.md is true. Method: examples of each row's types, and what
// retry returns for them; tests/scripts/answer_table.py compares the rows with the page's.
#include <belay/call/outcome.hpp>

#include <array>
#include <concepts>
#include <deque>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <variant>
#include <vector>

#include <belay/call/answer.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/http/http_message.hpp>

namespace belay_test::rows {

using belay::HttpResponse;
using belay::Outcome;
using belay::Result;
namespace detail = belay::detail;

template <class R, class F = R (*)()>
using Given = typename decltype(detail::outcome_of_call<F, R>())::type::type;
template <class R, class Expected>
constexpr bool gives = !detail::Unsupported<R> && std::same_as<Given<R>, Expected>;
template <class R>
constexpr bool is_success =
    detail::answer_kind<R>() == detail::AnswerKind::plain && gives<R, Result<R>>;
template <class R>
constexpr bool is_judged =
    detail::answer_kind<R>() == detail::AnswerKind::classified && gives<R, Outcome<R>>;
template <class... R>
constexpr bool are_numbers = ((detail::answer_kind<R>() == detail::AnswerKind::number) && ...);
template <class... R>
constexpr bool are_inside = ((detail::answer_kind<R>() == detail::AnswerKind::inside) && ...);
template <class... R>
constexpr bool are_named = ((detail::answer_kind<R>() == detail::AnswerKind::named) && ...);
template <class... R>
constexpr bool are_unsupported =
    ((detail::kind_of_result<R>() == detail::AnswerKind::unsupported) && ...);

// row: `void`
static_assert(gives<detail::VoidOutcome, Result<void>>);

// row: a text, a `double`, or a class without a sign of failure (a scene, a JSON value)
// A scene with functions whose names only resemble the usual ones.
struct Drawing {
    enum class Tool { pen, error, ok };
    enum Layer { base, success, failed };
    using failure = int;
    std::string text{}, status{}, code{};
    [[nodiscard]] std::size_t error_count() const { return 0; }
    template <class T>
    void fail_with(T) {}
};
struct JsonValue {  // in the form of nlohmann's
    template <class T>
        requires std::is_arithmetic_v<T> || std::same_as<T, std::string>
    operator T() const {
        return {};
    }
};
class Hides {
    [[maybe_unused]] int error_ = 0;
    [[nodiscard]] int error() const { return error_; }
};
static_assert(is_success<std::string> && is_success<std::string_view> && is_success<double>);
static_assert(is_success<Drawing> && is_success<JsonValue> && is_success<Hides>);
static_assert(is_success<belay::HttpHeaders>);

// row: `bool`
static_assert(gives<bool, Result<void>>);

// row: optional-like
static_assert(gives<std::optional<std::string>, Result<std::string>>);
static_assert(gives<std::optional<int>, Result<int>> && gives<std::optional<bool>, Result<bool>>);

// row: expected-like (`has_value`, `error`, `value_type`)
static_assert(gives<Result<int>, Result<int>> && gives<Result<void>, Result<void>>);
static_assert(gives<Outcome<int>, Outcome<int>>);

// row: `std::error_code`, `boost::system::error_code`
static_assert(gives<std::error_code, std::error_code>);

// row: another type with `category().message(value())`
struct OwnCode {
    [[nodiscard]] int value() const { return 1; }
    [[nodiscard]] const std::error_category& category() const { return std::generic_category(); }
    explicit operator bool() const { return true; }
};
static_assert(is_judged<OwnCode>);

// row: a type with `ok()` (statuses of absl, gRPC)
struct HasOk {
    [[nodiscard]] bool ok() const { return false; }
    [[nodiscard]] int error_code() const { return 14; }
};
static_assert(is_judged<HasOk>);

// row: a type that tests as bool and has `error()`
struct Tested {
    explicit operator bool() const { return false; }
    [[nodiscard]] std::error_code error() const { return {}; }
};
static_assert(is_judged<Tested>);

// row: `HttpResponse`
static_assert(is_judged<HttpResponse>);

// row: a type with `AnswerTraits`
enum class Taught { fine, lost };
struct TaughtReply {
    int status = 0;
};

}  // namespace belay_test::rows

template <>
struct belay::AnswerTraits<belay_test::rows::Taught> {
    static bool failed(const belay_test::rows::Taught& t) {
        return t == belay_test::rows::Taught::lost;
    }
};
template <>
struct belay::AnswerTraits<belay_test::rows::TaughtReply> {
    static bool failed(const belay_test::rows::TaughtReply& r) { return r.status != 0; }
};

namespace belay_test::rows {

static_assert(is_judged<Taught> && is_judged<TaughtReply>);

// row: an optional or a result of a type that can report a failure
static_assert(gives<std::optional<HttpResponse>, Outcome<HttpResponse>>);
static_assert(gives<Result<HttpResponse>, Outcome<HttpResponse>>);
static_assert(gives<Result<std::error_code>, Outcome<std::error_code>>);
static_assert(gives<Result<HttpResponse, belay::Failure>, Outcome<HttpResponse, belay::Failure>>);

// row: a container, smart pointer, pair, tuple or variant of values without a sign of failure
static_assert(is_success<std::vector<int>> && is_success<belay::Bytes> &&
              is_success<std::vector<bool>> && is_success<std::span<const int>>);
static_assert(is_success<std::map<std::string, int>> && is_success<std::set<Drawing::Tool>>);
static_assert(is_success<std::array<std::uint8_t, 16>> && is_success<std::unique_ptr<int>>);
static_assert(is_success<std::shared_ptr<void>> && is_success<std::unique_ptr<int[]>>);
struct Unknown;
static_assert(is_success<std::shared_ptr<Unknown>>);
static_assert(gives<Result<std::optional<int>>, Result<std::optional<int>>>);
// Types that contain themselves.
struct Tree {
    std::vector<Tree> children{};
};
struct Path {  // in the form of std::filesystem's
    [[nodiscard]] const Path* begin() const { return this; }
    [[nodiscard]] const Path* end() const { return this; }
};
struct There;
struct Here {
    [[nodiscard]] const There* begin() const;
    [[nodiscard]] const There* end() const;
};
struct There {
    [[nodiscard]] const Here* begin() const;
    [[nodiscard]] const Here* end() const;
};
static_assert(is_success<std::pair<std::string, double>> && is_success<std::tuple<>>);
static_assert(is_success<std::variant<std::monostate, std::string>>);
static_assert(is_success<Tree> && is_success<std::vector<Tree>> && is_success<Path> &&
              is_success<Here>);

// row: a container, smart pointer, pair, tuple or variant of values that may be failures
static_assert(
    are_inside<std::pair<std::error_code, std::string>, std::tuple<std::string, HttpResponse>,
               std::variant<std::error_code, std::string>, std::pair<std::string, bool>,
               std::pair<Taught, double>, std::tuple<std::optional<int>, std::string>>);
static_assert(
    are_inside<std::vector<Result<int>>, std::list<HttpResponse>, std::array<std::error_code, 2>,
               std::deque<Taught>, std::map<std::string, Result<int>>, std::shared_ptr<Result<int>>,
               std::unique_ptr<HttpResponse>, Result<std::vector<Result<int>>>>);

// row: an integer or an enum, alone or in a pair, tuple or variant
enum Plain { plain_ok };
enum class Status { ok, lost };
static_assert(are_numbers<int, long, unsigned char, char, Plain, Status, std::byte, std::errc>);
static_assert(are_numbers<std::pair<Status, std::string>, std::tuple<std::string, int>,
                          std::variant<std::string, Status>, std::pair<std::error_code, int>,
                          std::pair<std::string, std::tuple<int>>>);
static_assert(are_numbers<std::optional<std::errc>, Result<belay::Cause>>);

// row: a class with a member of a usual name (below)
struct Ec {
    std::error_code ec{};
};
struct IsOk {
    [[nodiscard]] bool isOk() const { return false; }
};
struct Success {
    bool success = false;
};
struct Bits {
    unsigned failed : 1;
};
struct Derived : Ec {};
struct Reference {
    const std::string& error;
};
struct Cpr {
    long status_code = 0;
    std::string text{};
};
struct Beast {
    [[nodiscard]] Status result() const { return Status::lost; }
};
struct Numbered {
    int status = 503;
};
static_assert(are_named<Ec, IsOk, Success, Bits, Derived, Reference, Cpr, Beast, Numbered>);
static_assert(
    are_named<std::optional<Cpr>, Result<Ec>, std::vector<Success>, std::pair<std::string, IsOk>,
              std::shared_ptr<Beast>, std::variant<std::string, Numbered>>);

// row: a pointer, a reference, a `Failure`, an `std::error_condition`, an `std::exception_ptr`
static_assert(are_unsupported<int*, const char*, int&, const std::string&, belay::Failure,
                              std::error_condition, std::exception_ptr>);
static_assert(are_unsupported<std::pair<int*, std::string>, std::optional<belay::Failure>>);

// row: another class that tests as bool or converts to an error code; a code without that test
struct Handle {
    explicit operator bool() const { return false; }
};
struct CodeOnly {
    [[nodiscard]] int value() const { return 1; }
    [[nodiscard]] const std::error_category& category() const { return std::generic_category(); }
};
struct Converts {
    operator std::error_code() const { return {}; }
};
static_assert(are_unsupported<Handle, CodeOnly, Converts, std::vector<Converts>>);
// A result whose response can only be moved from, and not read.
struct Sealed {
    using value_type = HttpResponse;
    [[nodiscard]] bool has_value() const { return true; }
    [[nodiscard]] std::error_code error() const { return {}; }
};
static_assert(are_unsupported<Sealed>);
// A handle that is the value of a result is data.
static_assert(gives<Result<Handle>, Result<Handle>>);

// row: any value, in `fails_if(fn, predicate)`
using FailsIf = decltype(belay::fails_if(std::declval<int (*)()>(), std::declval<bool (*)(int)>()));
static_assert(std::same_as<Given<int, FailsIf>, Outcome<int>>);

// row: any value, in `any_value(fn)`
template <class R>
using AnyValueOf = decltype(belay::any_value(std::declval<R (*)()>()));
static_assert(std::same_as<Given<int, AnyValueOf<int>>, Result<int>>);
static_assert(std::same_as<Given<Status, AnyValueOf<Status>>, Result<Status>>);
static_assert(std::same_as<Given<bool, AnyValueOf<bool>>, Result<bool>>);
static_assert(std::same_as<Given<Numbered, AnyValueOf<Numbered>>, Result<Numbered>>);

}  // namespace belay_test::rows
