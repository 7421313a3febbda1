// SPDX-License-Identifier: MIT
/// \file belay/call/detail/usual_names.hpp
/// NamesAFailure: whether a class has a member with a name by which libraries report failures.
#pragma once

#include <type_traits>  // std::is_lvalue_reference_v

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

// A public member of R: a function that is not overloaded, or can be called without arguments, or a
// field, also one to which no pointer exists. Not an enumerator, and not a type.
#define BELAY_DETAIL_NAMED(name)                                  \
    (                                                             \
        requires { &R::name; } || requires(R& r) { r.name(); } || \
        requires(R& r) { requires std::is_lvalue_reference_v<decltype((r.name))>; })

// Names that stand for a failure or a success, for members of all types. docs/reference/retry.md
// lists them, too, and tests/scripts/answer_table.py compares the lists.
template <class R>
concept NamesAFailure =
    BELAY_DETAIL_NAMED(ec) || BELAY_DETAIL_NAMED(err) || BELAY_DETAIL_NAMED(errc) ||
    BELAY_DETAIL_NAMED(error) || BELAY_DETAIL_NAMED(error_code) || BELAY_DETAIL_NAMED(errorCode) ||
    BELAY_DETAIL_NAMED(error_message) || BELAY_DETAIL_NAMED(errorMessage) ||
    BELAY_DETAIL_NAMED(has_error) || BELAY_DETAIL_NAMED(hasError) || BELAY_DETAIL_NAMED(is_error) ||
    BELAY_DETAIL_NAMED(isError) || BELAY_DETAIL_NAMED(is_err) || BELAY_DETAIL_NAMED(isErr) ||
    BELAY_DETAIL_NAMED(fail) || BELAY_DETAIL_NAMED(failed) || BELAY_DETAIL_NAMED(failure) ||
    BELAY_DETAIL_NAMED(has_failed) || BELAY_DETAIL_NAMED(hasFailed) ||
    BELAY_DETAIL_NAMED(is_failure) || BELAY_DETAIL_NAMED(isFailure) || BELAY_DETAIL_NAMED(ok) ||
    BELAY_DETAIL_NAMED(is_ok) || BELAY_DETAIL_NAMED(isOk) || BELAY_DETAIL_NAMED(isOK) ||
    BELAY_DETAIL_NAMED(success) || BELAY_DETAIL_NAMED(succeeded) ||
    BELAY_DETAIL_NAMED(successful) || BELAY_DETAIL_NAMED(is_success) ||
    BELAY_DETAIL_NAMED(isSuccess) || BELAY_DETAIL_NAMED(has_value) ||
    BELAY_DETAIL_NAMED(hasValue) || BELAY_DETAIL_NAMED(status_code) ||
    BELAY_DETAIL_NAMED(statusCode) || BELAY_DETAIL_NAMED(http_status) ||
    BELAY_DETAIL_NAMED(result_int) || BELAY_DETAIL_NAMED(return_code) ||
    BELAY_DETAIL_NAMED(returnCode) || BELAY_DETAIL_NAMED(exit_code) || BELAY_DETAIL_NAMED(exitCode);

#undef BELAY_DETAIL_NAMED

template <class M>
concept MayBeCode =
    std::is_integral_v<std::remove_cvref_t<M>> || std::is_enum_v<std::remove_cvref_t<M>> ||
    requires(const M& code) { code.category().message(code.value()); };

#define BELAY_DETAIL_NUMBERED(name)                                   \
    (                                                                 \
        requires(R& r) { requires MayBeCode<decltype((r.name))>; } || \
        requires(R& r) { requires MayBeCode<decltype(r.name())>; })

// Names that stand for one only if the member is an integer, an enum or an error code, because
// they are also names of texts.
template <class R>
concept NumbersAFailure = BELAY_DETAIL_NUMBERED(code) || BELAY_DETAIL_NUMBERED(rc) ||
                          BELAY_DETAIL_NUMBERED(result) || BELAY_DETAIL_NUMBERED(status);

#undef BELAY_DETAIL_NUMBERED

}}}  // namespace belay::detail
