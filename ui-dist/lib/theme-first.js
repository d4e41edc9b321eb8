// Runs before the first paint (a plain script of our own, so the policy allows it): sets the theme that was chosen, else the system's.
// And when a script or a style sheet does not arrive (a network that changed just then), it loads the page again, twice at most.
(function () {
  addEventListener('error', function (event) {
    var from = event.target;
    if (!(from instanceof HTMLScriptElement) && !(from instanceof HTMLLinkElement && from.rel === 'stylesheet')) return;
    var tries = Number(sessionStorage.getItem('reloads') || 0);
    if (tries < 2) { sessionStorage.setItem('reloads', String(tries + 1)); setTimeout(function () { location.reload(); }, 600); }
  }, true);
  var chosen = null;
  try { chosen = localStorage.getItem('theme'); } catch (_) { /* storage may be closed */ }
  var light = chosen ? chosen === 'light' : matchMedia('(prefers-color-scheme: light)').matches;
  document.documentElement.dataset.theme = light ? 'light' : 'dark';
  try { if (localStorage.getItem('rail') === 'small') document.documentElement.dataset.rail = 'small'; } catch (_) { /* as above */ }
})();
