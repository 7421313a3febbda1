// SPDX-License-Identifier: MIT
// The source file of AnyHttpCalls, which is linked into its tests.
#include <belay/curl/any_http_calls_source.hpp>

#include <type_traits>

static_assert(!std::is_copy_constructible_v<belay::curl::AnyHttpCalls>);
