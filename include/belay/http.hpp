// SPDX-License-Identifier: MIT
/// \file belay/http.hpp
/// Includes the main headers of the component http: the interface that an HTTP client must have for
/// belay, and its requests and responses.
#pragma once

#include <belay/http/http_errc.hpp>
#include <belay/http/http_message.hpp>
