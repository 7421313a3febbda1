// SPDX-License-Identifier: MIT
// For the pages that wrap libcurl.
#pragma once

#include <curl/curl.h>
