// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/mcp/options.hpp>

// expect-error: mcp::Options: the source of tokens needs a 'token_type'
namespace source_of_what {
struct Source {
#if defined(BELAY_CONTROL)
    using token_type = std::string;
#endif
    void operator()(belay::Completion<std::string> completion) { completion("token"); }
};
belay::mcp::Options use() { return {.token = Source{}}; }
}  // namespace source_of_what

// expect-error: mcp::Options: the source's token_type must be std::string
namespace source_of_numbers {
struct Source {
#if defined(BELAY_CONTROL)
    using token_type = std::string;
#else
    using token_type = int;
#endif
    void operator()(belay::Completion<token_type> completion) { completion({}); }
};
belay::mcp::Options use() { return {.token = Source{}}; }
}  // namespace source_of_numbers

// expect-error: mcp::Options: the source of tokens needs 'void operator
namespace source_that_returns {
struct Source {
    using token_type = std::string;
#if defined(BELAY_CONTROL)
    void operator()(belay::Completion<std::string> completion) { completion("token"); }
#else
    std::string operator()() { return "token"; }
#endif
};
belay::mcp::Options use() { return {.token = Source{}}; }
}  // namespace source_that_returns

// expect-error: mcp::Options: is_retryable and is_missing must be 'bool.const belay::mcp::Error&. noexcept'
namespace predicate_that_throws {
#if defined(BELAY_CONTROL)
belay::mcp::Options use() {
    return {.is_retryable = [](const belay::mcp::Error&) noexcept { return true; }};
}
#else
belay::mcp::Options use() {
    return {.is_retryable = [](const belay::mcp::Error&) { return true; }};
}
#endif
}  // namespace judge_that_throws

// expect-error: mcp::Options: is_retryable and is_missing must be 'bool.const belay::mcp::Error&. noexcept'
namespace predicate_of_something_else {
#if defined(BELAY_CONTROL)
belay::mcp::Options use() {
    return {.is_missing = [](const belay::mcp::Error&) noexcept { return true; }};
}
#else
belay::mcp::Options use() {
    return {.is_missing = [](const std::string&) noexcept { return true; }};
}
#endif
}  // namespace judge_of_something_else
