// Runs before the first paint (a plain script of our own, so the policy allows it): sets the theme that was chosen, else the system's.
(function () {
  var chosen = null;
  try { chosen = localStorage.getItem('theme'); } catch (_) { /* storage may be closed */ }
  var light = chosen ? chosen === 'light' : matchMedia('(prefers-color-scheme: light)').matches;
  document.documentElement.dataset.theme = light ? 'light' : 'dark';
  try { if (localStorage.getItem('rail') === 'small') document.documentElement.dataset.rail = 'small'; } catch (_) { /* as above */ }
})();
